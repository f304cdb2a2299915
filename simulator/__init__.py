"""A pretend Stripe.  It knows nothing of us: it speaks HTTP only, so that it can judge us.

A `World` has a virtual clock, a seed, and Stripe's objects; a story lets people live in it; every change becomes an
event, rendered in the shape of an endpoint's API version and delivered, signed, over HTTP.  `books` are what the world
knows of itself, `oracle` is what anybody could know from the events alone; the two must agree, and we with both.
"""

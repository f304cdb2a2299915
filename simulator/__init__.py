"""A pretend Stripe.  It speaks HTTP only and knows nothing of us, so that it can judge us."""

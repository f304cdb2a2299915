"""The platform's door: what a platform's own services may ask for over HTTP."""

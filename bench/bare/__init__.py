"""The bare parts: the same work with nothing of ours in it, as quick as somebody who knows the libraries would have it.

No models, no encryption, no Faust, no order, no recovery.  They are ceilings to measure against, not alternatives.
"""

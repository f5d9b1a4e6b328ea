"""What both planes know of Gemini Live's models. No I/O, nothing but data and rules over it.

It is here, beside the messages, because both planes must tell a setup that can't work by the same table: the
control plane before anybody is dialed, the media node before it asks the model.
"""

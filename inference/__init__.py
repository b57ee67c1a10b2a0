"""From pixels to numbers: a request goes in, a session of attention rows comes out."""

"""Free recordings from Debian's packages of music, which the evidence workflow trains and judges encoders on."""

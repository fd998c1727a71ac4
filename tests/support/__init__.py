"""What tests that drive programs share: throw-away PKI, real servers on loopback, and clients for them."""

//! senders with a JWT of an issuer.

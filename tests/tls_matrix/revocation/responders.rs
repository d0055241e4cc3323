//! OCSP responders, asked by us, and by MongoDB for its staple.

//! Meta: Facebook, Instagram, WhatsApp.

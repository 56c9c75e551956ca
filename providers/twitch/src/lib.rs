//! Twitch EventSub.

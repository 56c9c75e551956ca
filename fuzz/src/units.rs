//! Target `units`: durations, sizes, rates, times and data addresses as people write them.

use hookward_core::{ByteSize, HumanDuration, Timestamp};
use hookward_engine::compiled::Rate;
use hookward_engine::routing::DataAddress;

use super::input::text;

/// Parses the text as each of them. What parses must print and parse to the same value.
pub fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match text.parse::<HumanDuration>() {
        Ok(duration) => {
            // Printing and parsing gives the same duration.
            assert_eq!(duration.to_string().parse(), Ok(duration));
            let _ = Timestamp::from_secs(0).plus(duration.0).minus(duration.0).to_string();
        }
        Err(error) => assert!(error.to_string().contains("duration")),
    }
    match text.parse::<ByteSize>() {
        Ok(size) => {
            let _ = (size.as_usize(), size.to_string());
        }
        Err(error) => assert!(error.to_string().contains("size")),
    }
    if let Ok(rate) = Rate::parse(text) {
        assert!(rate.count > 0 && !rate.per.is_zero());
    }
    if let Some(time) = Timestamp::parse_rfc3339(text) {
        assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Some(time));
    }
    if let Some(end) = Timestamp::parse_end_of_date(text) {
        assert_eq!(end.as_secs().rem_euclid(86_400), 0);
    }
    if let Ok(address) = DataAddress::parse(text) {
        assert_eq!(DataAddress::parse(&address.to_string()), Ok(address));
    }
}

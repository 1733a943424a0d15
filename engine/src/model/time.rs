//! Points in time, as RFC 3339 in JSON and as microseconds everywhere else.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description};

use crate::error::{Code, Error, Result};

/// A point in time: microseconds since 1970-01-01T00:00:00Z, years 0 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest: the start of the year 0.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// The latest: the end of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// From microseconds since 1970; values outside the years 0 to 9999 are moved to the nearest end.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 (`2026-11-20T16:13:55Z`, fractions and offsets allowed) or a date alone (`2026-11-20`, midnight UTC).
    /// Digits below a microsecond are cut off.
    ///
    /// # Errors
    /// [`Code::WrongType`] when the text is neither.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(Code::WrongType, "a timestamp is RFC 3339, such as 2026-11-20T16:13:55Z, or a date, such as 2026-11-20")
                .numbers("RFC 3339 timestamp", text.chars().take(64).collect::<String>())
        };
        let moment = match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(moment) => moment,
            Err(_) => {
                Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| wrong())?.midnight().assume_utc()
            }
        };
        let micros = i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000)).map_err(|_| wrong())?;
        let taken = Self(micros);
        if taken < Self::MIN || taken > Self::MAX { Err(wrong()) } else { Ok(taken) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).map_err(|_| fmt::Error)?;
        f.write_str(&moment.to_offset(UtcOffset::UTC).format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["2026-11-20T16:13:55Z", "1969-12-31T23:59:59.999999Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
        {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::parse("2026-11-20T18:13:55+02:00").unwrap().to_string(), "2026-11-20T16:13:55Z");
        assert_eq!(Timestamp::parse("2026-11-20").unwrap().to_string(), "2026-11-20T00:00:00Z");
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "yesterday", "2026-13-01", "2026-11-20T25:00:00Z", "1700000000", "2026-11-20 nonsense"] {
            assert_eq!(Timestamp::parse(text).unwrap_err().code, Code::WrongType, "{text}");
        }
    }
}

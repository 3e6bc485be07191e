//! Time zones by name. The database is part of the program, so that every machine means the same by a name.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::time::Timestamp;

/// A time zone with its name: `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// A name that no time zone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone `{name}`{}", meant(.nearest.as_deref()))]
pub struct ZoneError {
    /// What was written.
    pub name: String,
    /// The known name that is nearest to it, if one is near.
    pub nearest: Option<String>,
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || ": write a name such as Europe/Berlin or UTC".to_owned(),
        |name| format!("; did you mean `{name}`?"),
    )
}

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// As people write it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn tz(&self) -> &TimeZone {
        &self.zone
    }

    /// The local date and time of a moment.
    #[must_use]
    pub fn civil(&self, at: Timestamp) -> jiff::civil::DateTime {
        self.zone.to_datetime(jiff::Timestamp::from_millisecond(at.0).unwrap_or_default())
    }

    /// The moment of a local date and time such as `2026-11-22 07:00`, or of one with an offset.
    ///
    /// # Errors
    /// When it is neither.
    pub fn moment(&self, text: &str) -> Result<Timestamp, crate::time::TimeError> {
        if text.parse::<jiff::Timestamp>().is_ok() {
            return Timestamp::parse(text);
        }
        let error = |_| crate::time::TimeError::Timestamp(text.to_owned());
        let civil: jiff::civil::DateTime = text.parse().map_err(error)?;
        let stamp = self.zone.to_timestamp(civil).map_err(error)?;
        Ok(Timestamp(stamp.as_millisecond()))
    }

    /// `2026-11-22 07:00`.
    #[must_use]
    pub fn minute(&self, at: Timestamp) -> String {
        self.civil(at).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// RFC 3339 to the second with the zone's offset: `2026-11-22T07:00:00+01:00`.
    #[must_use]
    pub fn rfc3339(&self, at: Timestamp) -> String {
        let stamp = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
        stamp.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::utc());
        }
        if let Ok(zone) = TimeZone::get(text) {
            let name = zone.iana_name().unwrap_or(text).to_owned();
            return Ok(Self { name, zone });
        }
        Err(ZoneError { name: text.to_owned(), nearest: nearest(text) })
    }
}

/// The known name that is at most a third of the letters away, or that has the word as its city.
fn nearest(text: &str) -> Option<String> {
    let lower = text.to_lowercase().replace(' ', "_");
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let city = |name: &&String| name.to_lowercase().rsplit('/').next() == Some(lower.as_str());
    let distance = |name: &&String| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let near =
        || names.iter().min_by_key(distance).filter(|name| distance(name) * 3 <= lower.chars().count());
    names.iter().find(city).or_else(near).cloned()
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_name_and_slips_are_recognised() {
        let winter = Timestamp::parse("2026-11-22T06:00:00Z").unwrap();
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.minute(winter), "2026-11-22 07:00");
        assert_eq!(berlin.rfc3339(winter), "2026-11-22T07:00:00+01:00");
        assert_eq!("utc".parse::<Zone>().unwrap().to_string(), "UTC");
        for (text, meant) in
            [("Europe/Berln", "Europe/Berlin"), ("berlin", "Europe/Berlin"), ("new york", "America/New_York")]
        {
            let error = text.parse::<Zone>().unwrap_err();
            assert_eq!(error.nearest.as_deref(), Some(meant));
        }
        let error = "Middle-Earth/Shire".parse::<Zone>().unwrap_err().to_string();
        assert!(error.ends_with("such as Europe/Berlin or UTC"), "{error}");
    }
}

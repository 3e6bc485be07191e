//! Where an address lies: databases in MaxMind's format, which others write too.
//!
//! Source of the record layouts: dev.maxmind.com, "GeoIP2 and GeoLite2 databases"; DB-IP's "lite" files follow them.

use std::fmt;
use std::net::IpAddr;

use maxminddb::Reader;
use serde::Deserialize;

/// A fact about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeoField {
    /// ISO 3166-1 alpha-2.
    Country,
    /// In English.
    CountryName,
    /// Two letters: AF, AN, AS, EU, NA, OC, SA.
    Continent,
    /// In English.
    City,
    /// Degrees, north is positive.
    Latitude,
    /// Degrees, east is positive.
    Longitude,
    /// The radius around the coordinates in which the address probably is, in kilometres.
    AccuracyKm,
    /// The number of the autonomous system.
    Asn,
    /// Who runs the autonomous system.
    Organisation,
}

impl GeoField {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Country,
        Self::CountryName,
        Self::Continent,
        Self::City,
        Self::Latitude,
        Self::Longitude,
        Self::AccuracyKm,
        Self::Asn,
        Self::Organisation,
    ];

    /// The field's name in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Country => "geo.country",
            Self::CountryName => "geo.country_name",
            Self::Continent => "geo.continent",
            Self::City => "geo.city",
            Self::Latitude => "geo.latitude",
            Self::Longitude => "geo.longitude",
            Self::AccuracyKm => "geo.accuracy_km",
            Self::Asn => "geo.asn",
            Self::Organisation => "geo.organisation",
        }
    }

    /// Its name within the object `geo`.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.name().trim_start_matches("geo.")
    }

    /// The fact of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// Whether it is about the network and not about the place.
    #[must_use]
    pub const fn is_of_network(self) -> bool {
        matches!(self, Self::Asn | Self::Organisation)
    }
}

/// Why bytes are no GeoIP database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeoError {
    /// The bytes are something else, or were cut off.
    #[error("not a database in MaxMind's format (.mmdb): {0}")]
    Format(String),
    /// A database of something else.
    #[error(
        "this is a database of type `{0}`; types with City, Country, Enterprise or ASN in their name are read"
    )]
    Type(String),
}

/// One database in memory.
pub struct Database {
    reader: Reader<Vec<u8>>,
    has_places: bool,
    has_networks: bool,
    hash: [u8; 32],
}

impl Database {
    /// Reads a file's bytes.
    pub fn read(bytes: Vec<u8>) -> Result<Self, GeoError> {
        let hash = *blake3::hash(&bytes).as_bytes();
        let reader = Reader::from_source(bytes).map_err(|error| GeoError::Format(error.to_string()))?;
        let kind = reader.metadata().database_type.clone();
        let has_places = ["City", "Country", "Enterprise"].iter().any(|word| kind.contains(word));
        let has_networks = kind.contains("ASN") || kind.contains("Enterprise") || kind.contains("ISP");
        if !has_places && !has_networks {
            return Err(GeoError::Type(kind));
        }
        let own = Self { reader, has_places, has_networks, hash };
        // A file that was cut off still begins well; one address of each half shows most of that.
        for address in [IpAddr::from([1, 1, 1, 1]), IpAddr::from([203, 0, 113, 1])] {
            own.record(address).map_err(GeoError::Format)?;
        }
        Ok(own)
    }

    fn record(&self, address: IpAddr) -> Result<Option<Record<'_>>, String> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = self.reader.lookup(address).map_err(|error| error.to_string())?;
        found.decode().map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("type", &self.reader.metadata().database_type)
            .finish_non_exhaustive()
    }
}

/// What is taken out of a record, whatever the database.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Record<'a> {
    country: Named<'a>,
    continent: Named<'a>,
    city: Named<'a>,
    location: Location,
    autonomous_system_number: Number,
    autonomous_system_organization: Option<&'a str>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Named<'a> {
    iso_code: Option<&'a str>,
    code: Option<&'a str>,
    names: Names<'a>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Location {
    latitude: Number,
    longitude: Number,
    accuracy_radius: Number,
}

/// A number of whatever type: the writers of databases do not agree on it.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNumber)
    }
}

struct AnyNumber;

impl serde::de::Visitor<'_> for AnyNumber {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }
    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(Number(Some(number).filter(|number| number.is_finite())))
    }
    #[expect(clippy::cast_precision_loss, reason = "none of these numbers has more than 32 bits")]
    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }
    #[expect(clippy::cast_precision_loss, reason = "none of these numbers has more than 32 bits")]
    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }
}

/// A value of a fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact<'a> {
    /// A name or a code.
    Text(&'a str),
    /// Degrees, kilometres, or a number of a network.
    Number(f64),
}

/// What the databases say of one address.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    place: Option<Place<'a>>,
    network: Option<Network<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    country: Named<'a>,
    continent: Option<&'a str>,
    city: Option<&'a str>,
    location: Location,
}

#[derive(Debug, Clone, Copy)]
struct Network<'a> {
    number: Number,
    organisation: Option<&'a str>,
}

impl<'a> Answer<'a> {
    /// Whether a database knows the address in that respect. If so its answer is whole: what it does not say is
    /// not known, whatever the sender says of the place or the network.
    #[must_use]
    pub const fn settles(&self, field: GeoField) -> bool {
        if field.is_of_network() { self.network.is_some() } else { self.place.is_some() }
    }

    /// One fact.
    #[must_use]
    pub fn get(&self, field: GeoField) -> Option<Fact<'a>> {
        let place = || self.place.as_ref();
        let text = |text: Option<&'a str>| text.map(Fact::Text);
        let number = |number: Number| number.0.map(Fact::Number);
        match field {
            GeoField::Country => text(place()?.country.iso_code),
            GeoField::CountryName => text(place()?.country.names.en),
            GeoField::Continent => text(place()?.continent),
            GeoField::City => text(place()?.city),
            GeoField::Latitude => number(place()?.location.latitude),
            GeoField::Longitude => number(place()?.location.longitude),
            GeoField::AccuracyKm => number(place()?.location.accuracy_radius),
            GeoField::Asn => number(self.network.as_ref()?.number),
            GeoField::Organisation => text(self.network.as_ref()?.organisation),
        }
    }
}

/// All configured databases. Of two that know an address the first one answers.
#[derive(Debug)]
pub struct Geo {
    databases: Vec<std::sync::Arc<Database>>,
    hash: [u8; 32],
}

impl Geo {
    /// None without a database.
    #[must_use]
    pub fn new(databases: Vec<std::sync::Arc<Database>>) -> Option<Self> {
        let mut hasher = blake3::Hasher::new();
        for database in &databases {
            hasher.update(&database.hash);
        }
        let hash = *hasher.finalize().as_bytes();
        (!databases.is_empty()).then_some(Self { databases, hash })
    }

    /// What is known of an address. An IPv4 address may be written as IPv6 (`::ffff:203.0.113.7`). A text that is
    /// no address, and a record that cannot be read, are not known.
    #[must_use]
    pub fn answer(&self, address: &str) -> Answer<'_> {
        let Ok(address) = address.trim().parse::<IpAddr>() else { return Answer::default() };
        let address = address.to_canonical();
        let mut answer = Answer::default();
        for database in &self.databases {
            let wants_place = database.has_places && answer.place.is_none();
            let wants_network = database.has_networks && answer.network.is_none();
            if !wants_place && !wants_network {
                continue;
            }
            let Ok(Some(record)) = database.record(address) else { continue };
            if wants_place {
                answer.place = Some(Place {
                    country: record.country,
                    continent: record.continent.code,
                    city: record.city.names.en,
                    location: record.location,
                });
            }
            if wants_network && record.autonomous_system_number != Number(None) {
                let organisation = record.autonomous_system_organization;
                answer.network = Some(Network { number: record.autonomous_system_number, organisation });
            }
        }
        answer
    }

    /// Changes whenever a database does.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{asn, city, geo};
    use super::*;

    #[test]
    fn an_address_has_a_place_and_a_network() {
        let geo = geo();
        let known = geo.answer("203.0.113.7");
        for (field, expected) in [
            (GeoField::Country, Fact::Text("DE")),
            (GeoField::CountryName, Fact::Text("Germany")),
            (GeoField::Continent, Fact::Text("EU")),
            (GeoField::City, Fact::Text("Munich")),
            (GeoField::Latitude, Fact::Number(48.137)),
            (GeoField::Longitude, Fact::Number(11.575)),
            (GeoField::AccuracyKm, Fact::Number(20.0)),
            (GeoField::Asn, Fact::Number(64500.0)),
            (GeoField::Organisation, Fact::Text("Example Carrier")),
        ] {
            assert_eq!(known.get(field), Some(expected), "{}", field.name());
        }
        assert_eq!(geo.answer("::ffff:203.0.113.7").get(GeoField::City), Some(Fact::Text("Munich")));
        assert_eq!(geo.answer("2001:db8::1").get(GeoField::Country), Some(Fact::Text("JP")));
        // A network without a place, a place without a city, neither.
        let half = geo.answer("192.0.2.9");
        assert!(!half.settles(GeoField::City) && half.settles(GeoField::Asn));
        let whole = geo.answer("198.51.100.200");
        assert_eq!((whole.settles(GeoField::City), whole.get(GeoField::City)), (true, None));
        for unknown in ["10.0.0.1", "", "gitlab-ci", "203.0.113.7:443"] {
            let answer = geo.answer(unknown);
            assert!(GeoField::ALL.into_iter().all(|field| !answer.settles(field)), "{unknown}");
        }
    }

    #[test]
    fn what_is_no_database_is_refused_with_its_reason() {
        assert!(matches!(Database::read(b"{}".to_vec()), Err(GeoError::Format(_))));
        let cut = city().split_at(city().len() / 2).1.to_vec();
        assert!(matches!(Database::read(cut), Err(GeoError::Format(_) | GeoError::Type(_))));
        let mut renamed = asn();
        let at = memchr::memmem::find(&renamed, b"GeoLite2-ASN").unwrap();
        renamed[at..at + 12].copy_from_slice(b"GeoLite2-XXX");
        assert_eq!(Database::read(renamed).unwrap_err(), GeoError::Type("GeoLite2-XXX".to_owned()));
    }

    #[test]
    fn names_and_keys_agree() {
        for field in GeoField::ALL {
            assert_eq!(field.name(), format!("geo.{}", field.key()));
            assert_eq!(GeoField::named(field.name()), Some(field));
        }
    }
}

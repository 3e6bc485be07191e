//! How many events have each value of a field, out of its dictionary.

use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use super::Timed;
use super::answer::ReadError;
use super::dictionary::{Dictionary, Numbers};
use super::evaluate::Read;
use super::field::{CANONICAL, Field, Value};
use super::postings::Damaged;
use crate::enrich::{Fact, GeoField, Wanted};
use crate::event::{Catalogue, Format};
use crate::query::fold;

/// What [`tally`] calls for each value that some of the events have: the folded value, how many, and one of them. A
/// value may come several times.
pub type VisitTally<'a> = dyn FnMut(&str, u64, u32) + 'a;

/// What stands for a value; none where the value says nothing, and the fallback counts.
type Label<'a> = dyn Fn(&Value<'_>) -> Option<String> + 'a;

/// Where a field's values stand, and what they are called now.
struct Way<'a> {
    dictionaries: &'static [Field],
    label: Box<Label<'a>>,
    fallback: Option<Field>,
    /// An event with a value here that has a label must be looked at: it may have several, of which the first counts.
    unsettled: Option<Field>,
}

/// Counts the values that these events have in a field, and answers which events must be looked at instead; none if
/// the field has no dictionary.
pub fn tally<S: Timed + ?Sized>(
    segment: &mut S,
    catalogue: &Catalogue,
    field: &str,
    events: &RoaringBitmap,
    visit: &mut VisitTally<'_>,
) -> Read<Option<RoaringBitmap>, S> {
    let Some(way) = way(catalogue, field) else { return Ok(None) };
    let mut dictionary = Dictionary::new(segment);
    let mut unsettled = Count::default();
    if let Some(field) = way.unsettled {
        unsettled.keeps = true;
        unsettled.values(&mut dictionary, (field, &way.label), events, &mut |_, _, _| {})?;
    }
    let unsettled = unsettled.counted;
    let events = &(events - &unsettled);
    let is_all = *events == dictionary.all()?;
    let mut count = Count { is_all, keeps: way.fallback.is_some(), ..Count::default() };
    for field in way.dictionaries {
        count.values(&mut dictionary, (*field, &way.label), events, visit)?;
    }
    count.doubtful |= unsettled;
    if let Some(field) = way.fallback {
        let rest = events - &count.counted;
        let mut others = Count::default();
        others.values(&mut dictionary, (field, &whole), &rest, visit)?;
        count.doubtful |= others.doubtful;
    }
    Ok(Some(count.doubtful))
}

/// Whether [`tally`] needs no look at events for this field, few cut values aside.
#[must_use]
pub fn has_dictionary(catalogue: &Catalogue, field: &str) -> bool {
    way(catalogue, field).is_some()
}

fn way<'a>(catalogue: &'a Catalogue, field: &str) -> Option<Way<'a>> {
    let enrichment = catalogue.enrichment();
    if enrichment.wanted(field) == Some(Wanted::Geo(GeoField::Country)) {
        let geo = enrichment.geo()?;
        let country = move |value: &Value<'_>| match geo.answer(&whole(value)?).get(GeoField::Country) {
            Some(Fact::Text(country)) => Some(country.to_owned()),
            Some(Fact::Number(_)) | None => None,
        };
        return Some(Way {
            dictionaries: &[Field::Address],
            label: Box::new(country),
            fallback: Some(Field::SentCountry),
            unsettled: Some(Field::AddressText),
        });
    }
    if enrichment.lays_over(field) {
        return None;
    }
    let known = move |value: &Value<'_>| catalogue.get(Format::Gitlab, &whole(value)?);
    let plain = |dictionaries: &'static [Field]| Way {
        dictionaries,
        label: Box::new(whole),
        fallback: None,
        unsettled: None,
    };
    Some(match field {
        "event_type" => Way {
            dictionaries: &[Field::EventType, Field::OtherType],
            label: Box::new(move |value| known(value).map_or_else(|| whole(value), |t| Some(t.name.clone()))),
            fallback: None,
            unsettled: None,
        },
        "category" => Way {
            dictionaries: &[Field::EventType],
            label: Box::new(move |value| known(value).map(|known| known.category.clone())),
            fallback: Some(Field::SentCategory),
            unsettled: None,
        },
        "tier" => Way {
            dictionaries: &[Field::EventType],
            label: Box::new(move |value| known(value).map(|known| known.tier.name().to_owned())),
            fallback: Some(Field::SentTier),
            unsettled: None,
        },
        "ip_address" => plain(&[Field::Address, Field::AddressText]),
        "source" => plain(&[Field::Source]),
        "forge" => plain(&[Field::Forge]),
        "geo.country" => plain(&[Field::SentCountry]),
        _ => {
            let (_, indexed) = CANONICAL.iter().find(|(name, _)| *name == field)?;
            match indexed {
                Field::AuthorId => plain(&[Field::AuthorId]),
                Field::AuthorName => plain(&[Field::AuthorName]),
                Field::EntityId => plain(&[Field::EntityId]),
                Field::EntityType => plain(&[Field::EntityType]),
                Field::EntityPath => plain(&[Field::EntityPath]),
                Field::TargetId => plain(&[Field::TargetId]),
                Field::TargetType => plain(&[Field::TargetType]),
                Field::TargetDetails => plain(&[Field::TargetDetails]),
                _ => return None,
            }
        }
    })
}

fn whole(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some((*text).to_owned()),
        Value::Address(address) => Some(address.to_string()),
        Value::Beginning(_) => None,
    }
}

#[derive(Default)]
struct Count {
    /// Nothing needs to be left out, so that the lengths of lists will do.
    is_all: bool,
    /// What was counted is wanted: a fallback counts the rest.
    keeps: bool,
    counted: RoaringBitmap,
    /// Events whose value was cut off.
    doubtful: RoaringBitmap,
}

impl Count {
    fn values<T: super::Terms + ?Sized>(
        &mut self,
        dictionary: &mut Dictionary<'_, T>,
        (field, label): (Field, &Label<'_>),
        events: &RoaringBitmap,
        visit: &mut VisitTally<'_>,
    ) -> Result<(), ReadError<T::Error>> {
        let mut done: Result<(), Damaged> = Ok(());
        dictionary.visit(field, &[], &mut |bytes, numbers| {
            let Some(value) = field.decode(bytes) else { return ControlFlow::Continue(()) };
            if let Err(damaged) = self.value(&value, numbers, (label(&value), events), visit) {
                done = Err(damaged);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(done?)
    }

    fn value(
        &mut self,
        value: &Value<'_>,
        numbers: Numbers<'_>,
        (label, events): (Option<String>, &RoaringBitmap),
        visit: &mut VisitTally<'_>,
    ) -> Result<(), Damaged> {
        if let (true, Some(label)) = (self.is_all && !self.keeps, &label) {
            if let Some(example) = numbers.first()? {
                visit(&fold(label), u64::from(numbers.count()), example);
            }
            return Ok(());
        }
        let found = match numbers {
            Numbers::One(number) if !events.contains(number) => return Ok(()),
            Numbers::One(number) => RoaringBitmap::from_iter([number]),
            Numbers::List(..) => {
                let mut found = RoaringBitmap::new();
                numbers.add_to(&mut found)?;
                found & events
            }
        };
        let Some(example) = found.max() else { return Ok(()) };
        match (label, value) {
            (Some(label), _) => {
                visit(&fold(&label), found.len(), example);
                if self.keeps {
                    self.counted |= found;
                }
            }
            (None, Value::Beginning(_)) => self.doubtful |= found,
            (None, _) => {}
        }
        Ok(())
    }
}

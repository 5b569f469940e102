//! How clients show denoms. Genesis sets it; nothing in the state machine depends on it.

use poq_proto::code;
use poq_proto::v1::{DenomMetadata, DenomUnit};
use poq_store::State;

use super::keys;
use crate::coin::validate_denom;
use crate::error::{Result, ensure};

/// The highest exponent of a unit: 128 bits have 38 full decimal digits.
const MAX_EXPONENT: u32 = 38;
/// The longest text, bytes.
const MAX_TEXT: usize = 256;

/// The metadata of a new chain's denom: a denom that begins with `u`, for micro, gets a unit of a
/// million without that letter.
pub fn default_metadata(denom: &str) -> DenomMetadata {
    let unit = |denom: &str, exponent| DenomUnit {
        denom: denom.to_owned(),
        exponent,
    };
    let display = denom
        .strip_prefix('u')
        .filter(|display| validate_denom(display).is_ok())
        .unwrap_or(denom);
    let mut denom_units = vec![unit(denom, 0)];
    if display != denom {
        denom_units.push(unit(display, 6));
    }
    DenomMetadata {
        description: "Pays for answers and secures their quality.".into(),
        denom_units,
        base: denom.to_owned(),
        display: display.to_owned(),
        name: display.to_uppercase(),
        symbol: display.to_uppercase(),
    }
}

/// Checks and sets a denom's metadata, by the rules of `cosmos.bank.v1beta1.Metadata`.
pub fn set(state: &mut State, metadata: &DenomMetadata) -> Result<()> {
    let DenomMetadata {
        description,
        denom_units: units,
        base,
        display,
        name,
        symbol,
    } = metadata;
    let texts = [description, name, symbol];
    ensure!(
        texts.iter().all(|text| text.len() <= MAX_TEXT)
            && !name.trim().is_empty()
            && !symbol.trim().is_empty(),
        code::INVALID_REQUEST,
        "the metadata of {base:?} need a name and a symbol, each text of at most {MAX_TEXT} bytes"
    );
    for unit in units {
        validate_denom(&unit.denom)?;
    }
    ensure!(
        units
            .first()
            .is_some_and(|unit| unit.denom == *base && unit.exponent == 0),
        code::INVALID_REQUEST,
        "the first unit of {base:?} must be itself with exponent 0"
    );
    let ascending = units.is_sorted_by(|one, other| one.exponent < other.exponent);
    ensure!(
        ascending && units.iter().all(|unit| unit.exponent <= MAX_EXPONENT),
        code::INVALID_REQUEST,
        "the units of {base} must ascend by their exponents, at most {MAX_EXPONENT}"
    );
    ensure!(
        units.iter().any(|unit| unit.denom == *display),
        code::INVALID_REQUEST,
        "the metadata of {base} show {display:?}, which is not one of the units"
    );
    let key = keys::metadata(base);
    ensure!(
        !state.contains(&key)?,
        code::INVALID_REQUEST,
        "genesis has the metadata of {base} twice"
    );
    Ok(state.put_message(key, metadata)?)
}

/// The metadata of every denom, by denom. Only genesis creates denoms, so the list is short.
pub fn all(state: &State) -> Result<Vec<DenomMetadata>> {
    let entries = state.scan_messages(keys::METADATA, None, usize::MAX)?;
    Ok(entries.into_iter().map(|(_, metadata)| metadata).collect())
}

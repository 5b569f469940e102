//! Pages of lists, with the limits of this chain and the fields of the Cosmos SDK's clients.

use cosmos_sdk_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use poq_proto::code;
use poq_store::State;

use crate::error::{Error, Result, ensure};

/// The most entries that a page of a long list reads.
const SCANNED: usize = 10_000;
const CHUNK: usize = 500;

/// The length of a page for the limit that a client asked for: 0 means 100, at most 1,000.
pub(crate) fn page_limit(limit: u32) -> usize {
    match limit {
        0 => 100,
        limit => limit.min(1_000) as usize,
    }
}

/// The numbers that follow a prefix in keys of 20 digits, after `after`, at most `limit`.
pub(crate) fn ids_under(state: &State, prefix: &str, after: u64, limit: usize) -> Result<Vec<u64>> {
    let start = format!("{prefix}{after:020}");
    let id = |key: &[u8]| {
        let id = key.strip_prefix(prefix.as_bytes())?;
        std::str::from_utf8(id).ok()?.parse().ok()
    };
    let corrupt = || Error::broken(format!("a key under {prefix} is corrupt"));
    let page = state.scan(prefix, Some(start.as_bytes()), limit)?;
    page.into_iter()
        .map(|(key, _)| id(&key).ok_or_else(corrupt))
        .collect()
}

/// Cuts a page out of a complete list in key order. A request names the first key (from
/// [`PageResponse::next_key`]) or how many items to skip. The total is counted if the client asks
/// for it, or if there is no limit.
pub(crate) fn page<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> &[u8],
    request: Option<PageRequest>,
) -> Result<(Vec<T>, PageResponse)> {
    let request = request.unwrap_or_default();
    ensure!(
        request.key.is_empty() || request.offset == 0,
        code::INVALID_REQUEST,
        "invalid request, either offset or key is expected, got both"
    );
    let total = items.len();
    let mut items = items;
    if request.reverse {
        items.reverse();
    }
    let behind = |item: &T| match request.reverse {
        true => key(item) > request.key.as_slice(),
        false => key(item) < request.key.as_slice(),
    };
    let skipped = match request.key.is_empty() {
        true => usize::try_from(request.offset).unwrap_or(usize::MAX),
        false => items.iter().take_while(|item| behind(item)).count(),
    };
    let limit = page_limit(u32::try_from(request.limit).unwrap_or(u32::MAX));
    let mut rest = items.into_iter().skip(skipped);
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let next_key = rest.next().map_or(Vec::new(), |item| key(&item).to_vec());
    let counted = request.key.is_empty() && (request.count_total || request.limit == 0);
    let response = PageResponse {
        next_key,
        total: if counted { total as u64 } else { 0 },
    };
    Ok((page, response))
}

/// Cuts a page out of the entries whose keys begin with `prefix`, a list too long to be read
/// completely: `pick` returns the item of an entry that belongs to the list. The page ends early if
/// few do, so that no request reads more than 10,000 entries. [`PageResponse::next_key`] names the
/// last entry that was read. `total` is the length of the list, if it is counted.
pub(crate) fn page_of_entries<T>(
    state: &State,
    prefix: &str,
    request: Option<PageRequest>,
    total: Option<u64>,
    pick: impl Fn(&[u8], &[u8]) -> Result<Option<T>>,
) -> Result<(Vec<T>, PageResponse)> {
    let request = request.unwrap_or_default();
    ensure!(
        request.offset == 0 && !request.reverse && (!request.count_total || total.is_some()),
        code::INVALID_REQUEST,
        "invalid request, this list is read forward by key: without offset, reverse{}",
        if total.is_some() {
            ""
        } else {
            " and count_total"
        }
    );
    let counted = request.key.is_empty() && (request.count_total || request.limit == 0);
    let end = |next_key: Option<Vec<u8>>| {
        let next_key = next_key.and_then(|key| Some(key.get(prefix.len()..)?.to_vec()));
        PageResponse {
            next_key: next_key.unwrap_or_default(),
            total: total.filter(|_| counted).unwrap_or(0),
        }
    };
    let limit = page_limit(u32::try_from(request.limit).unwrap_or(u32::MAX));
    let mut page = Vec::new();
    let mut last = (!request.key.is_empty()).then(|| [prefix.as_bytes(), &request.key].concat());
    let mut scanned = 0;
    while scanned < SCANNED {
        let entries = state.scan(prefix, last.as_deref(), CHUNK)?;
        if entries.is_empty() {
            return Ok((page, end(None)));
        }
        for (key, value) in entries {
            if page.len() == limit {
                return Ok((page, end(last)));
            }
            page.extend(pick(key.get(prefix.len()..).unwrap_or_default(), &value)?);
            last = Some(key);
            scanned = scanned.saturating_add(1);
        }
    }
    Ok((page, end(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: PageRequest) -> (String, String, u64) {
        let items = vec!["a", "b", "c", "d", "e"];
        let (page, response) = page(items, |item| item.as_bytes(), Some(request)).unwrap();
        let next = String::from_utf8(response.next_key).unwrap();
        (page.concat(), next, response.total)
    }

    fn request() -> PageRequest {
        PageRequest {
            limit: 2,
            ..PageRequest::default()
        }
    }

    fn found(page: &str, next: &str, total: u64) -> (String, String, u64) {
        (page.into(), next.into(), total)
    }

    #[test]
    fn pages_follow_one_another() {
        let from = |key: &str| PageRequest {
            key: key.into(),
            ..request()
        };
        assert_eq!(ask(request()), found("ab", "c", 0));
        assert_eq!(ask(from("c")), found("cd", "e", 0));
        assert_eq!(ask(from("e")), found("e", "", 0));
        assert_eq!(ask(from("z")), found("", "", 0));
    }

    #[test]
    fn totals_offsets_and_directions() {
        assert_eq!(ask(PageRequest::default()), found("abcde", "", 5));
        let counted = PageRequest {
            offset: 3,
            count_total: true,
            ..request()
        };
        assert_eq!(ask(counted), found("de", "", 5));
        let beyond = PageRequest {
            offset: u64::MAX,
            ..request()
        };
        assert_eq!(ask(beyond), found("", "", 0));
        let reverse = PageRequest {
            reverse: true,
            key: "d".into(),
            ..request()
        };
        assert_eq!(ask(reverse), found("dc", "b", 0));
    }

    #[test]
    fn a_key_and_an_offset_exclude_each_other() {
        let both = PageRequest {
            key: "a".into(),
            offset: 1,
            ..request()
        };
        assert!(page(vec!["a"], |item| item.as_bytes(), Some(both)).is_err());
    }
}

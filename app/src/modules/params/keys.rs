/// `poq.v1.Params`.
pub(super) const PARAMS: &str = "params/params";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(PARAMS, @"params/params");
    }
}

//! What lets people in: the variable `sign_in`, which means the same to `member` and to the pages.

use anyhow::bail;

/// What lets people in. There is always one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// A code that is sent to their telephone.
    pub codes: bool,
    /// An OpenID provider.
    pub provider: bool,
}

impl SignIn {
    /// As the operator set it. The error says what it may be.
    pub async fn read() -> anyhow::Result<Self> {
        Self::parse(&crate::text("sign_in").await?)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let (codes, provider) = match text {
            "codes" => (true, false),
            "oidc" => (false, true),
            "codes,oidc" => (true, true),
            _ => bail!("the variable `sign_in` must be `codes`, `oidc` or `codes,oidc`"),
        };
        Ok(Self { codes, provider })
    }
}

#[cfg(test)]
mod tests {
    use super::SignIn;

    #[test]
    fn there_is_always_a_way_in() {
        let ways = |text| SignIn::parse(text).map(|set| (set.codes, set.provider));
        assert_eq!(ways("codes").unwrap(), (true, false));
        assert_eq!(ways("oidc").unwrap(), (false, true));
        assert_eq!(ways("codes,oidc").unwrap(), (true, true));
        for text in ["", "oidc,codes", "codes, oidc", "password"] {
            assert!(ways(text).unwrap_err().to_string().contains("`sign_in`"), "{text}");
        }
    }
}

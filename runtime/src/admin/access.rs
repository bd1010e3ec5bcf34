//! The access check of the metrics: a TokenReview of the request's token, and a SubjectAccessReview
//! of its user for the path of the metrics.

use super::METRICS_PATH;
use axum::http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

const VERB: &str = "get";
/// How long an allowed token is cached. A revoked permission remains effective for this time.
const ALLOWED_FOR: Duration = Duration::from_secs(60);
/// The number of cached tokens. A cluster has few collectors.
const ALLOWED_TOKENS: usize = 32;
/// The limit of concurrent reviews, because any client can send a token.
const CONCURRENT_REVIEWS: usize = 4;
/// The timeout of a review. The scrape timeout of Prometheus is ten seconds.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// The access check with its cache.
pub(super) struct Access {
    client: Client,
    reviews: Semaphore,
    allowed: Mutex<AllowedTokens>,
}

/// The times at which tokens were allowed, by the digest of the token. The tokens are not kept.
#[derive(Debug, Default)]
struct AllowedTokens(HashMap<TokenDigest, Instant>);

type TokenDigest = [u8; 32];

/// Why a request is denied. The message is the body of the response.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denied {
    #[error(
        "the request has no bearer token; send \"Authorization: Bearer <token>\" with the token of \
         a ServiceAccount that may {VERB} {METRICS_PATH}"
    )]
    NoToken,
    #[error(
        "the API server does not accept the token; send a current token of a ServiceAccount, issued \
         for the audience of the API server"
    )]
    Unauthenticated,
    #[error(
        "user {user:?} may not {VERB} {METRICS_PATH}; bind it to a ClusterRole with \
         nonResourceURLs [\"{METRICS_PATH}\"] and verbs [\"{VERB}\"]"
    )]
    Forbidden { user: String },
    #[error(
        "access cannot be checked: this server may not create TokenReviews and \
         SubjectAccessReviews; bind its ServiceAccount to a ClusterRole that allows both"
    )]
    MayNotReview(#[source] kube::Error),
    #[error("access cannot be checked: the API server is unavailable; try again later")]
    Unavailable(#[source] kube::Error),
    #[error(
        "access cannot be checked: the API server did not answer within {REVIEW_TIMEOUT:?}; try again \
         later"
    )]
    Late,
}

impl Access {
    /// Returns an access check that uses this client.
    pub(super) fn new(client: Client) -> Self {
        Self { client, reviews: Semaphore::new(CONCURRENT_REVIEWS), allowed: Mutex::default() }
    }

    /// Checks the bearer token in the headers of a request.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let token = bearer_token(headers).ok_or(Denied::NoToken)?;
        let digest = Sha256::digest(token).into();
        if self.with_allowed(|allowed| allowed.contains(&digest, Instant::now())) {
            return Ok(());
        }
        let review = tokio::time::timeout(REVIEW_TIMEOUT, self.review(token)).await;
        review.map_err(|_| Denied::Late)??;
        self.with_allowed(|allowed| allowed.insert(digest, Instant::now()));
        Ok(())
    }

    async fn review(&self, token: &str) -> Result<(), Denied> {
        let Ok(_permit) = self.reviews.acquire().await else {
            return Err(Denied::Late);
        };
        let user = self.authenticate(token).await?;
        self.authorize(user).await
    }

    async fn authenticate(&self, token: &str) -> Result<UserInfo, Denied> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await;
        let status = review.map_err(Denied::by_api_server)?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        user.ok_or(Denied::Unauthenticated)
    }

    async fn authorize(&self, user: UserInfo) -> Result<(), Denied> {
        let UserInfo { username, uid, groups, extra } = user;
        let attributes = NonResourceAttributes {
            path: Some(METRICS_PATH.to_owned()),
            verb: Some(VERB.to_owned()),
        };
        let spec = SubjectAccessReviewSpec {
            user: username.clone(),
            uid,
            groups,
            extra,
            non_resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await;
        let status = review.map_err(Denied::by_api_server)?.status;
        if status.is_some_and(|status| status.allowed) {
            return Ok(());
        }
        Err(Denied::Forbidden { user: username.unwrap_or_default() })
    }

    fn with_allowed<T>(&self, act: impl FnOnce(&mut AllowedTokens) -> T) -> T {
        act(&mut self.allowed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AllowedTokens {
    fn contains(&self, digest: &TokenDigest, now: Instant) -> bool {
        self.0.get(digest).is_some_and(|allowed| now - *allowed < ALLOWED_FOR)
    }

    fn insert(&mut self, digest: TokenDigest, now: Instant) {
        self.0.retain(|_, allowed| now - *allowed < ALLOWED_FOR);
        if self.0.len() >= ALLOWED_TOKENS {
            let oldest = self.0.iter().min_by_key(|(_, allowed)| **allowed);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(digest, now);
    }
}

impl Denied {
    fn by_api_server(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
                Self::MayNotReview(error)
            }
            _ => Self::Unavailable(error),
        }
    }

    /// The status of the response.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::MayNotReview(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable(_) | Self::Late => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Returns the token of `Authorization: Bearer <token>`.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_bearer_tokens_are_accepted() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
            ("abc", None),
        ] {
            let headers = [(header::AUTHORIZATION, HeaderValue::from_static(value))];
            let headers: HeaderMap = headers.into_iter().collect();
            assert_eq!(bearer_token(&headers), token, "{value:?}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    #[test]
    fn an_allowed_token_is_cached() {
        let (mut allowed, start) = (AllowedTokens::default(), Instant::now());
        allowed.insert([1; 32], start);
        assert!(allowed.contains(&[1; 32], start + ALLOWED_FOR / 2));
        assert!(!allowed.contains(&[2; 32], start + ALLOWED_FOR / 2));
        assert!(!allowed.contains(&[1; 32], start + ALLOWED_FOR));
    }

    #[test]
    fn the_cache_keeps_the_latest_tokens() {
        let (mut allowed, start) = (AllowedTokens::default(), Instant::now());
        for number in 0..100 {
            allowed.insert([number; 32], start + Duration::from_millis(number.into()));
        }
        assert_eq!(allowed.0.len(), ALLOWED_TOKENS);
        let now = start + Duration::from_secs(1);
        assert!(allowed.contains(&[99; 32], now) && !allowed.contains(&[67; 32], now));
    }
}

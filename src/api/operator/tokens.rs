//! Delegation tokens: they stand for whom the broker takes the gateway for, and so for its own login.
//!
//! Who may make one, or see one, could log in at the brokers past the gateway. So each of these calls
//! needs to be listed and the right to alter the cluster.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};

use super::super::{Api, Asking, Pass, Refusal, Showing};
use crate::cluster::OperatorApi;
use crate::wire::ApiKey;

/// A call that passes as it is, and is refused by the code alone.
macro_rules! of_tokens {
    ($($(#[doc = $doc:literal])* $api:ident: $request:ident, $response:ident, $versions:expr;)+) => {$(
        $(#[doc = $doc])*
        pub struct $api;

        impl Api for $api {
            type Request = $request;
            type Response = $response;
            type Aside = ();

            const KEY: ApiKey = ApiKey::$api;
            const VERSIONS: RangeInclusive<i16> = $versions;

            fn admit(request: $request, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
                ask.gate.ask_operator(OperatorApi::$api).map_err(|_| Refusal::TokenDenied)?;
                Ok(Pass::Forward(request, ()))
            }

            fn reveal(_response: &mut $response, (): (), _show: &Showing<'_>) {}

            fn refuse(_request: $request, why: Refusal, _version: i16) -> $response {
                $response::default().with_error_code(why.code())
            }
        }
    )+};
}

of_tokens! {
    /// A token made.
    CreateDelegationToken: CreateDelegationTokenRequest, CreateDelegationTokenResponse, 1..=3;
    /// A token's life made longer.
    RenewDelegationToken: RenewDelegationTokenRequest, RenewDelegationTokenResponse, 1..=2;
    /// A token's life ended.
    ExpireDelegationToken: ExpireDelegationTokenRequest, ExpireDelegationTokenResponse, 1..=2;
    /// Tokens listed, with what one logs in with by them.
    DescribeDelegationToken: DescribeDelegationTokenRequest, DescribeDelegationTokenResponse, 1..=3;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::api::testing::World;
    use crate::policy::{Operation, Resource};

    #[test]
    fn to_see_tokens_takes_more_than_the_right_to_describe_the_cluster() {
        let request = DescribeDelegationTokenRequest::default().with_owners(None);
        for version in DescribeDelegationToken::VERSIONS {
            for (operation, code, asked) in [(Operation::Describe, 65, 0), (Operation::Alter, 0, 1)] {
                let mut world = World::allowing(&[(operation, Resource::Cluster, "kafka-cluster")]);
                let talk = world.talk::<DescribeDelegationToken>(version, &request, &Default::default());
                assert_eq!((talk.seen.error_code, talk.sent.len()), (code, asked));
            }
        }
    }

    #[test]
    fn what_one_logs_in_with_passes_as_it_is() {
        let mut world = World::allowing(&[(Operation::Alter, Resource::Cluster, "kafka-cluster")]);
        let hmac = Bytes::from_static(b"\0\xffhmac");
        for version in CreateDelegationToken::VERSIONS {
            let answer = CreateDelegationTokenResponse::default().with_hmac(hmac.clone());
            let request = CreateDelegationTokenRequest::default();
            assert_eq!(world.talk::<CreateDelegationToken>(version, &request, &answer).seen.hmac, hmac);
        }
        for version in RenewDelegationToken::VERSIONS {
            let request = RenewDelegationTokenRequest::default().with_hmac(hmac.clone());
            let talk = world.talk::<RenewDelegationToken>(version, &request, &Default::default());
            assert_eq!(talk.sent().hmac, hmac);
            let request = ExpireDelegationTokenRequest::default().with_hmac(hmac.clone());
            let talk = world.talk::<ExpireDelegationToken>(version, &request, &Default::default());
            assert_eq!(talk.sent().hmac, hmac);
        }
    }
}

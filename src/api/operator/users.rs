//! The users of the backend who log in there by SCRAM.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
};

use super::super::{Api, Asking, Pass, Refusal, Showing};
use super::{reword, text};
use crate::cluster::OperatorApi;
use crate::wire::ApiKey;

/// Users listed.
pub struct DescribeUserScramCredentials;

impl Api for DescribeUserScramCredentials {
    type Request = DescribeUserScramCredentialsRequest;
    type Response = DescribeUserScramCredentialsResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::DescribeUserScramCredentials;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(
        request: DescribeUserScramCredentialsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::DescribeUserScramCredentials)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut DescribeUserScramCredentialsResponse, (): (), _show: &Showing<'_>) {
        reword(&mut response.error_message, response.error_code);
        for result in &mut response.results {
            reword(&mut result.error_message, result.error_code);
        }
    }

    /// Shape: a broker answers for each user that was asked about, without saying for which, and without a text.
    fn refuse(
        request: DescribeUserScramCredentialsRequest,
        why: Refusal,
        _version: i16,
    ) -> DescribeUserScramCredentialsResponse {
        let refused = DescribeUserScramCredentialsResult::default().with_error_code(why.code());
        let results = request.users.into_iter().flatten().map(|_| refused.clone());
        DescribeUserScramCredentialsResponse::default()
            .with_error_code(why.code())
            .with_results(results.collect())
    }
}

/// Users made, changed and removed.
pub struct AlterUserScramCredentials;

impl Api for AlterUserScramCredentials {
    type Request = AlterUserScramCredentialsRequest;
    type Response = AlterUserScramCredentialsResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::AlterUserScramCredentials;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(request: AlterUserScramCredentialsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::AlterUserScramCredentials)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut AlterUserScramCredentialsResponse, (): (), _show: &Showing<'_>) {
        for result in &mut response.results {
            reword(&mut result.error_message, result.error_code);
        }
    }

    /// Shape: one answer for each user, in order of their names.
    fn refuse(
        request: AlterUserScramCredentialsRequest,
        why: Refusal,
        _version: i16,
    ) -> AlterUserScramCredentialsResponse {
        let deleted = request.deletions.iter().map(|deletion| deletion.name.clone());
        let users: BTreeSet<_> =
            deleted.chain(request.upsertions.iter().map(|upsertion| upsertion.name.clone())).collect();
        let results = users.into_iter().map(|user| {
            AlterUserScramCredentialsResult::default()
                .with_user(user)
                .with_error_code(why.code())
                .with_error_message(text(why))
        });
        AlterUserScramCredentialsResponse::default().with_results(results.collect())
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_user_scram_credentials_request::{
        ScramCredentialDeletion, ScramCredentialUpsertion,
    };
    use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;

    use super::*;
    use crate::api::standard_text;
    use crate::api::testing::{World, text as name};
    use crate::policy::{Operation, Resource};

    fn operator(need: Operation) -> World {
        World::allowing(&[(need, Resource::Cluster, "kafka-cluster")])
    }

    #[test]
    fn users_are_listed_to_whom_the_cluster_is_described() {
        let missing = DescribeUserScramCredentialsResult::default()
            .with_user(name("bob"))
            .with_error_code(91)
            .with_error_message(Some(name("no bob at kafka:9092")));
        let answer = DescribeUserScramCredentialsResponse::default()
            .with_error_message(None)
            .with_results(vec![missing]);
        for (users, answers) in [(None, 0), (Some(vec!["bob", "eve"]), 2)] {
            let users = users.map(|users| {
                users.into_iter().map(|user| UserName::default().with_name(name(user))).collect()
            });
            let request = DescribeUserScramCredentialsRequest::default().with_users(users);
            let mut nobody = operator(Operation::Create);
            let talk = nobody.talk::<DescribeUserScramCredentials>(0, &request, &answer);
            assert_eq!((talk.sent.len(), talk.seen.error_code, talk.seen.results.len()), (0, 31, answers));
            assert!(talk.seen.results.iter().all(|result| result.error_code == 31 && result.user.is_empty()));

            let mut some = operator(Operation::Describe);
            let talk = some.talk::<DescribeUserScramCredentials>(0, &request, &answer);
            assert_eq!(*talk.sent(), request);
            assert_eq!(talk.seen.results[0].user.as_str(), "bob");
            assert_eq!(talk.seen.results[0].error_message, standard_text(91));
        }
    }

    #[test]
    fn each_user_that_is_not_altered_is_answered_for_once() {
        let deletion = |user: &str| ScramCredentialDeletion::default().with_name(name(user));
        let upsertion = |user: &str| ScramCredentialUpsertion::default().with_name(name(user));
        let request = AlterUserScramCredentialsRequest::default()
            .with_deletions(vec![deletion("eve"), deletion("bob")])
            .with_upsertions(vec![upsertion("bob"), upsertion("ada")]);
        let mut nobody = operator(Operation::Describe);
        let talk = nobody.talk::<AlterUserScramCredentials>(0, &request, &Default::default());
        let seen = talk.seen.results.iter();
        let seen: Vec<_> = seen.map(|result| (result.user.as_str(), result.error_code)).collect();
        assert_eq!((talk.sent.len(), &seen[..]), (0, &[("ada", 31), ("bob", 31), ("eve", 31)][..]));

        let mut some = operator(Operation::Alter);
        let talk = some.talk::<AlterUserScramCredentials>(0, &request, &Default::default());
        assert_eq!(*talk.sent(), request);
    }
}

//! Which APIs keep tenants apart, and the lines of a virtual cluster's file that ask for all of them.

use sluicegate::api::Row;
use sluicegate::cluster::{OperatorApi, OptIn};

/// What goes to the whole Kafka cluster as it is: who asks for it in the file asks for no walls.
const WITHOUT_WALLS: &[(OperatorApi, &str)] = &[
    (OperatorApi::CreateDelegationToken, TOKENS),
    (OperatorApi::RenewDelegationToken, TOKENS),
    (OperatorApi::ExpireDelegationToken, TOKENS),
    (OperatorApi::DescribeDelegationToken, TOKENS),
    (OperatorApi::DescribeClientQuotas, USERS),
    (OperatorApi::AlterClientQuotas, USERS),
    (OperatorApi::DescribeUserScramCredentials, USERS),
    (OperatorApi::AlterUserScramCredentials, USERS),
    (OperatorApi::UpdateFeatures, "features are those of all brokers"),
    (OperatorApi::UnregisterBroker, "brokers are there for all tenants"),
];

const TOKENS: &str = "a delegation token belongs to the gateway's own login";
const USERS: &str = "the backend's users are not those of any tenant";

/// Lines of a virtual cluster that offers everything that has walls.
pub fn lines() -> Vec<String> {
    let has_walls = |api: &OperatorApi| !WITHOUT_WALLS.iter().any(|(without, _)| without == api);
    let apis: Vec<_> = OperatorApi::EACH.into_iter().filter(has_walls).map(OperatorApi::as_str).collect();
    vec![format!("operator_apis: [{}]", apis.join(", ")), "telemetry: forward".to_owned()]
}

/// Whether an API is offered where the file has those lines.
pub fn is_offered(row: &Row) -> bool {
    !WITHOUT_WALLS.iter().any(|(api, _)| row.on_request == Some(OptIn::Operator(*api)))
}

//! What a virtual cluster offers beyond what every one does.

use super::file;
use super::problem::Report;
use super::shape::Placed;
use crate::cluster::{OperatorApi, OptIn, OptIns};

/// Reads what a virtual cluster asks for.
pub(super) fn opt_ins(section: &file::VirtualCluster, report: &mut Report) -> OptIns {
    let mut opt_ins = Vec::new();
    for Placed { at, value: word } in section.operator_apis.iter().flat_map(|list| &list.value.items) {
        let opt_in = OptIn::Operator(operator_api(*word));
        if opt_ins.contains(&opt_in) {
            report.error(
                *at,
                format!("the call {} stands twice in this list; keep one", operator_api(*word).as_str()),
            );
        }
        opt_ins.push(opt_in);
    }
    if section.telemetry.as_ref().is_some_and(|word| word.value == file::TelemetryWord::Forward) {
        opt_ins.push(OptIn::Telemetry);
    }
    OptIns::of(opt_ins)
}

/// The call that a word of the file names.
pub(super) fn operator_api(word: file::OperatorApiWord) -> OperatorApi {
    use file::OperatorApiWord as Word;
    match word {
        Word::WriteTxnMarkers => OperatorApi::WriteTxnMarkers,
        Word::AlterReplicaLogDirs => OperatorApi::AlterReplicaLogDirs,
        Word::CreateDelegationToken => OperatorApi::CreateDelegationToken,
        Word::RenewDelegationToken => OperatorApi::RenewDelegationToken,
        Word::ExpireDelegationToken => OperatorApi::ExpireDelegationToken,
        Word::DescribeDelegationToken => OperatorApi::DescribeDelegationToken,
        Word::ElectLeaders => OperatorApi::ElectLeaders,
        Word::AlterPartitionReassignments => OperatorApi::AlterPartitionReassignments,
        Word::ListPartitionReassignments => OperatorApi::ListPartitionReassignments,
        Word::DescribeClientQuotas => OperatorApi::DescribeClientQuotas,
        Word::AlterClientQuotas => OperatorApi::AlterClientQuotas,
        Word::DescribeUserScramCredentials => OperatorApi::DescribeUserScramCredentials,
        Word::AlterUserScramCredentials => OperatorApi::AlterUserScramCredentials,
        Word::DescribeQuorum => OperatorApi::DescribeQuorum,
        Word::UpdateFeatures => OperatorApi::UpdateFeatures,
        Word::UnregisterBroker => OperatorApi::UnregisterBroker,
        Word::ListConfigResources => OperatorApi::ListConfigResources,
    }
}

//! What clients tell the brokers of how they fare (KIP-714), where a virtual cluster passes it on.
//!
//! Each client has a connection to the broker of its own, under its own client id, so that what the
//! broker keeps of an instance is kept of this client. Nothing in it is renamed.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, PushTelemetryRequest,
    PushTelemetryResponse,
};

use super::{Api, Asking, Pass, Refusal, Showing};
use crate::wire::ApiKey;

/// What the broker wants to hear, and under which id.
pub struct GetTelemetrySubscriptions;

impl Api for GetTelemetrySubscriptions {
    type Request = GetTelemetrySubscriptionsRequest;
    type Response = GetTelemetrySubscriptionsResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::GetTelemetrySubscriptions;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(
        request: GetTelemetrySubscriptionsRequest,
        _ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(_response: &mut GetTelemetrySubscriptionsResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(
        _request: GetTelemetrySubscriptionsRequest,
        why: Refusal,
        _version: i16,
    ) -> GetTelemetrySubscriptionsResponse {
        GetTelemetrySubscriptionsResponse::default().with_error_code(why.code())
    }
}

/// What a client has to tell.
pub struct PushTelemetry;

impl Api for PushTelemetry {
    type Request = PushTelemetryRequest;
    type Response = PushTelemetryResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::PushTelemetry;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(request: PushTelemetryRequest, _ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(_response: &mut PushTelemetryResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(_request: PushTelemetryRequest, why: Refusal, _version: i16) -> PushTelemetryResponse {
        PushTelemetryResponse::default().with_error_code(why.code())
    }
}

use super::*;
use std::collections::BTreeSet;

/// The API server's message about a failed call of our webhook.
fn ours(rest: &str) -> String {
    format!(
        "Internal error occurred: failed calling webhook \"{}\": failed to call webhook: {rest}",
        names::PROBE_HOOK
    )
}

fn post(rest: &str) -> String {
    ours(&format!(
        "Post \"https://fastrak-webhook.fastrak-system.svc:443/claims?timeout=2s\": {rest}"
    ))
}

#[test]
fn a_failed_call_is_classified_by_the_api_servers_message() {
    let table = [
        (post("service \"fastrak-webhook\" not found"), Cause::Dns),
        (post("dial tcp: lookup hook.example on 10.0.0.10:53: no such host"), Cause::Dns),
        (post("dial tcp: lookup hook.example on 10.0.0.10:53: read udp: i/o timeout"), Cause::Dns),
        (post("dial tcp: lookup hook.example: server misbehaving"), Cause::Dns),
        (post("dial tcp 10.0.0.7:443: connect: connection refused"), Cause::Refused),
        (post("no endpoints available for service \"fastrak-webhook\""), Cause::Refused),
        (post("dial tcp 10.0.0.7:443: connect: no route to host"), Cause::Refused),
        (post("dial tcp 10.0.0.7:443: i/o timeout"), Cause::Timeout),
        (post("context deadline exceeded"), Cause::Timeout),
        (
            post("context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
            Cause::Timeout,
        ),
        (post("net/http: TLS handshake timeout"), Cause::Timeout),
        (
            post(
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            ),
            Cause::Untrusted,
        ),
        (
            post(
                "tls: failed to verify certificate: x509: certificate signed by unknown authority \
                 (possibly because of \"x509: ECDSA verification failure\" while trying to verify \
                 candidate authority certificate \"fastrak\")",
            ),
            Cause::Untrusted,
        ),
        (
            post(
                "tls: failed to verify certificate: x509: certificate has expired or is not yet \
                 valid: current time 2026-01-02T00:00:00Z is after 2026-01-01T00:00:00Z",
            ),
            Cause::Expired,
        ),
        (
            post(
                "tls: failed to verify certificate: x509: certificate is valid for a.svc, not b.svc",
            ),
            Cause::WrongName,
        ),
        (
            post(
                "tls: failed to verify certificate: x509: cannot validate certificate for \
                 127.0.0.1 because it doesn't contain any IP SANs",
            ),
            Cause::WrongName,
        ),
    ];
    for (message, cause) in table {
        assert_eq!(classify(500, &message), cause, "{message}");
    }
}

#[test]
fn failures_of_other_webhooks_and_policies_are_not_ours() {
    let table = [
        (
            500,
            "Internal error occurred: failed calling webhook \"guard.example.com\": failed to call \
             webhook: Post \"https://guard.example.svc:443/?timeout=10s\": context deadline exceeded",
            Cause::OtherAdmission,
        ),
        (
            400,
            "admission webhook \"guard.example.com\" denied the request: failed calling it",
            Cause::OtherAdmission,
        ),
        (
            422,
            "persistentvolumeclaims \"probe\" is forbidden: ValidatingAdmissionPolicy 'x' with \
             binding 'x' denied request: no",
            Cause::OtherAdmission,
        ),
        (
            403,
            "persistentvolumeclaims \"probe\" is forbidden: exceeded quota: q, requested: \
             persistentvolumeclaims=1",
            Cause::OtherAdmission,
        ),
        (
            403,
            "persistentvolumeclaims is forbidden: User \"u\" cannot create resource \
             \"persistentvolumeclaims\" in API group \"\" in the namespace \"fastrak-probe\"",
            Cause::NotSetUp,
        ),
        (404, "namespaces \"fastrak-probe\" not found", Cause::NotSetUp),
        (400, "admission webhook \"probe.fastrak.io\" denied the request: no", Cause::BadAnswer),
        (504, "Timeout: request did not complete within the allotted timeout", Cause::ApiServer),
        (429, "too many requests", Cause::ApiServer),
    ];
    for (code, message, cause) in table {
        assert_eq!(classify(code, message), cause, "{message}");
    }
}

#[test]
fn every_cause_has_a_text_and_an_advice_of_its_own() {
    let texts: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    let advice: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.advice()).collect();
    assert_eq!((texts.len(), advice.len()), (Cause::ALL.len(), Cause::ALL.len()));
}

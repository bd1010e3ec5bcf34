//! Derives the cause of a failed probe from the API server's message. Pure. The messages may change
//! between versions: an unknown message counts as a bad answer.

use fastrak_api::names;

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $advice:literal;)+) => {
        fastrak_api::text_enum! {
            /// The cause of a failed probe.
            pub enum Cause {
                $($(#[doc = $doc])+ $variant = $text,)+
            }
        }

        impl Cause {
            /// Returns what to do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }
        }
    };
}

causes! {
    /// The host name of the webhook cannot be resolved.
    Dns = "dns",
        "the API server cannot resolve the webhook: check that the Service in the webhook \
         configuration exists";
    /// The connection is refused.
    Refused = "refused",
        "nothing listens at the address that the API server calls: check the endpoints of the \
         Service, and kube-proxy on the nodes of the control plane";
    /// The call times out.
    Timeout = "timeout",
        "calls of the API server time out: allow the control plane to reach the nodes on the \
         webhook's port (8443), which firewalls of private clusters often block; check network \
         policies, and the load of the webhook";
    /// The certificate was not issued by a CA in `caBundle`.
    Untrusted = "untrusted",
        "the API server does not trust the certificate: check which other client writes caBundle, \
         and whether the Service selects another program";
    /// The certificate has expired or is not valid yet.
    Expired = "expired",
        "the certificate is not valid now: check the clocks of the nodes and of the control \
         plane, and the webhook's log about certificates";
    /// The certificate does not cover the host name.
    WrongName = "wrong_name",
        "the certificate is for other names: --namespace, --service-name and --tls-name must \
         match the webhook configuration";
    /// The response is not valid.
    BadAnswer = "bad_answer",
        "the API server gets no valid response: check the webhook's log, whether the Service \
         selects another program, and proxies in between";
    /// Another webhook or a policy rejects the claim.
    OtherAdmission = "other_admission",
        "another webhook or policy rejects the claim or fails: the message names it; it may reject \
         claims of users too";
    /// The API server did not call the webhook.
    NotCalled = "not_called",
        "the API server admits the probe without the webhook's mark: apply the manifests again; \
         fastrak_webhook_configuration_drift says what differs; a replica that is starting or \
         overloaded leaves the mark out too";
    /// Another webhook changed our response.
    Altered = "altered",
        "another webhook changes what fastrak writes: check for one that rewrites annotations";
    /// The namespace of the probe or the right to create claims in it is missing.
    NotSetUp = "not_set_up",
        "the webhook may not probe: apply the manifests again, which have the namespace and the \
         Role";
    /// The API server itself does not respond.
    ApiServer = "api_server",
        "the API server does not respond to the webhook; the other direction is unknown";
}

/// Returns the cause from the code and message of a rejection.
#[must_use]
pub fn classify(code: u16, message: &str) -> Cause {
    if let Some((hook, rest)) = named(message, "failed calling webhook \"") {
        return if hook == names::PROBE_HOOK { call(rest) } else { Cause::OtherAdmission };
    }
    if let Some((hook, _)) = named(message, "admission webhook \"") {
        let ours = hook == names::PROBE_HOOK;
        return if ours { Cause::BadAnswer } else { Cause::OtherAdmission };
    }
    match code {
        403 if message.contains("cannot create resource") => Cause::NotSetUp,
        404 => Cause::NotSetUp,
        429 | 500..=599 => Cause::ApiServer,
        _ => Cause::OtherAdmission,
    }
}

/// Returns the webhook that a message names after `before`, and the rest of the message.
fn named<'a>(message: &'a str, before: &str) -> Option<(&'a str, &'a str)> {
    message.split_once(before)?.1.split_once('"')
}

/// Returns the cause of a failed call of our webhook. A message may contain several texts; the most
/// specific one comes first.
fn call(message: &str) -> Cause {
    let table: [(Cause, &[&str]); 6] = [
        (Cause::Dns, &["no such host", "dial tcp: lookup ", "\" not found"]),
        (Cause::Expired, &["certificate has expired or is not yet valid"]),
        (
            Cause::WrongName,
            &[
                "certificate is valid for",
                "not valid for any names",
                "doesn't contain any IP SANs",
                "relies on legacy Common Name",
            ],
        ),
        (Cause::Untrusted, &["x509: "]),
        (
            Cause::Refused,
            &[
                "connection refused",
                "no endpoints available",
                "no route to host",
                "network is unreachable",
            ],
        ),
        (
            Cause::Timeout,
            &["deadline exceeded", "i/o timeout", "handshake timeout", "Client.Timeout"],
        ),
    ];
    let found =
        table.into_iter().find(|(_, texts)| texts.iter().any(|text| message.contains(text)));
    found.map_or(Cause::BadAnswer, |(cause, _)| cause)
}

#[cfg(test)]
mod tests;

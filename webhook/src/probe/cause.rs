//! Why the API server did not get our answer, distinguished by what it says of it. Pure. The messages
//! are the API server's own and no promise of its: whatever is not recognised is a bad answer.

use fastrak_api::names;

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $advice:literal;)+) => {
        /// Why a probe failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Cause {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The cause as metrics show it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What to do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }
        }
    };
}

causes! {
    /// The name that is registered leads nowhere.
    Dns = "dns",
        "the API server finds no address for the webhook: look whether the Service that the \
         registration names is there";
    /// Nobody answers at the address.
    Refused = "refused",
        "nobody listens where the API server calls: look at the Service's endpoints, and at \
         kube-proxy on the control plane's nodes";
    /// The address is silent.
    Timeout = "timeout",
        "the API server's calls get lost or take too long: let the control plane through to the \
         nodes on the webhook's port (8443), as firewalls of private clusters often do not; look \
         at network policies, and at the webhook's own load";
    /// The certificate's authority is not the one that is registered.
    Untrusted = "untrusted",
        "the API server does not trust the certificate: look at who else writes caBundle, and at \
         whether the Service leads to another program";
    /// The certificate has expired, or has not begun.
    Expired = "expired",
        "the certificate is not valid now: look at the clocks of the nodes and of the control \
         plane, and at the webhook's log about certificates";
    /// The certificate is for other names.
    WrongName = "wrong_name",
        "the certificate is for other names: --namespace, --service-name and --tls-name have to \
         name what the registration does";
    /// What came is no answer of a webhook.
    BadAnswer = "bad_answer",
        "the API server gets no usable answer: look at the webhook's log, at whether the Service \
         leads to another program, and at proxies between";
    /// Another webhook or a policy stands in the way.
    OtherAdmission = "other_admission",
        "another webhook or policy refuses or fails: the message names it; it may refuse claims \
         of others too";
    /// The API server did not ask us.
    Unregistered = "unregistered",
        "the API server admits the probe without the webhook's mark: apply the manifests again; \
         fastrak_webhook_registration_drift says what differs; a replica that is starting or \
         overloaded leaves the mark out too";
    /// Somebody changed our answer.
    Altered = "altered",
        "another webhook changes what fastrak writes: look for one that rewrites annotations";
    /// We may not ask, or there is no place for it.
    NotSetUp = "not_set_up",
        "the webhook may not ask: apply the manifests again, they have a namespace and a Role for \
         it";
    /// The API server itself does not answer.
    ApiServer = "api_server",
        "the API server does not answer the webhook, which says nothing of the other direction";
}

/// Why the API server refused a probe.
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

/// The webhook that a message names after these words, and what the message says after that.
fn named<'a>(message: &'a str, before: &str) -> Option<(&'a str, &'a str)> {
    message.split_once(before)?.1.split_once('"')
}

/// Why a call of ours failed. What an error wraps comes after it, so of two that are both named the
/// more telling one is looked for first.
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

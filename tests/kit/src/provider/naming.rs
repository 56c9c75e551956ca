//! PROVIDER-11 and -16: signed events and samples are identified as they were signed.

use hookward_core::{Identity, Proof, SecretSet, parse_strict, prove};

use super::{BuiltSubject, Checked, ensure, genuine};

pub(super) async fn round_trip(built: &BuiltSubject<'_>) -> Checked {
    if built.provider.signer().is_none() || !built.subject.samples {
        return Ok(());
    }
    let Some(sample) = built.subject.descriptor.samples.first() else { return Ok(()) };
    let event_type = if sample.event_type == "*" { "thing.happened" } else { sample.event_type };
    let id = format!("{}7h3Id", sample.id_prefix);
    let body = sample.render(event_type, &id, genuine::NOW);
    let identity = identify(built, event_type, &id, &body).await?;
    let found_id = identity.event_id.as_ref().map(|name| name.value.as_str());
    ensure(found_id.is_none_or(|found| found == id), || {
        format!("signed with the id `{id}`, identified as {found_id:?}")
    })?;
    ensure(identity.event_type.as_deref() == Some(event_type), || {
        format!("signed as `{event_type}`, identified as {:?}", identity.event_type)
    })
}

pub(super) async fn samples(built: &BuiltSubject<'_>) -> Checked {
    let samples = built.subject.descriptor.samples;
    ensure(samples.iter().any(|s| s.event_type == "*"), || {
        "there is no sample `*`, so most types cannot be sent".to_owned()
    })?;
    for sample in samples {
        let event_type =
            if sample.event_type == "*" { "some.other.type" } else { sample.event_type };
        let body = sample.render(event_type, &format!("{}1a2B", sample.id_prefix), genuine::NOW);
        parse_strict(body.as_bytes())
            .map_err(|e| format!("the sample {event_type} is not JSON: {e}"))?;
        ensure(!body.contains("%TYPE%") && !body.contains("%ID%"), || {
            format!("the sample {event_type} has an unknown placeholder")
        })?;
        if built.subject.samples && built.provider.signer().is_some() {
            let id = format!("{}1a2B", sample.id_prefix);
            let found = identify(built, event_type, &id, &body).await?.event_type;
            ensure(found.as_deref() == Some(event_type), || {
                format!("the sample {event_type} is identified as {found:?}")
            })?;
        }
    }
    Ok(())
}

/// Signs an event, verifies it and returns its identity.
async fn identify(
    built: &BuiltSubject<'_>,
    event_type: &str,
    id: &str,
    body: &str,
) -> Result<Identity, String> {
    let request = genuine::sign(built, event_type, id, body)
        .ok_or_else(|| format!("an event of type {event_type} cannot be signed"))?;
    let secrets =
        SecretSet::from_texts(Some(built.subject.secret.as_str())).map_err(|e| e.to_string())?;
    let cx = hookward_core::VerifyCx::new(
        genuine::NOW,
        secrets.active(genuine::NOW),
        &hookward_core::keys::NoKeys,
    )
    .with_public_url(genuine::PUBLIC_URL);
    match prove(built.provider, request, &cx).await {
        Ok(Proof::Genuine(delivery)) => {
            let found = built.provider.identify(&delivery).map_err(|e| e.to_string())?;
            found.into_iter().next().ok_or_else(|| "no event in what was signed".to_owned())
        }
        Ok(Proof::Handshake(_)) => Err(format!("{event_type} is treated as a handshake")),
        Err(e) => Err(format!("{event_type}, signed by the provider's own signer: {e}")),
    }
}

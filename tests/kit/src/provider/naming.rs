//! PROVIDER-11 and -16: signed events and samples are identified as they were signed.

use hookward_core::{Identity, Proof, SecretSet, parse_strict, prove};

use super::{Checked, Trial, ensure, good};

pub(super) async fn round_trip(trial: &Trial<'_>) -> Checked {
    if trial.provider.signer().is_none() || !trial.subject.samples {
        return Ok(());
    }
    let Some(sample) = trial.subject.descriptor.samples.first() else { return Ok(()) };
    let word = if sample.event_type == "*" { "thing.happened" } else { sample.event_type };
    let id = format!("{}7h3Id", sample.id_prefix);
    let body = sample.render(word, &id, good::NOW);
    let identity = identify(trial, word, &id, &body).await?;
    let found_id = identity.event_id.as_ref().map(|name| name.value.as_str());
    ensure(found_id.is_none_or(|found| found == id), || {
        format!("signed with the id `{id}`, identified as {found_id:?}")
    })?;
    ensure(identity.event_type.as_deref() == Some(word), || {
        format!("signed as `{word}`, identified as {:?}", identity.event_type)
    })
}

pub(super) async fn samples(trial: &Trial<'_>) -> Checked {
    let samples = trial.subject.descriptor.samples;
    ensure(samples.iter().any(|s| s.event_type == "*"), || {
        "there is no sample `*`, so most types cannot be sent".to_owned()
    })?;
    for sample in samples {
        let word = if sample.event_type == "*" { "some.other.type" } else { sample.event_type };
        let body = sample.render(word, &format!("{}1a2B", sample.id_prefix), good::NOW);
        parse_strict(body.as_bytes()).map_err(|e| format!("the sample {word} is not JSON: {e}"))?;
        ensure(!body.contains("%TYPE%") && !body.contains("%ID%"), || {
            format!("the sample {word} has an unknown placeholder")
        })?;
        if trial.subject.samples && trial.provider.signer().is_some() {
            let id = format!("{}1a2B", sample.id_prefix);
            let found = identify(trial, word, &id, &body).await?.event_type;
            ensure(found.as_deref() == Some(word), || {
                format!("the sample {word} is identified as {found:?}")
            })?;
        }
    }
    Ok(())
}

/// Signs an event, verifies it and returns its identity.
async fn identify(
    trial: &Trial<'_>,
    event_type: &str,
    id: &str,
    body: &str,
) -> Result<Identity, String> {
    let request = good::sign(trial, event_type, id, body)
        .ok_or_else(|| format!("an event of type {event_type} cannot be signed"))?;
    let secrets =
        SecretSet::from_texts(Some(trial.subject.secret.as_str())).map_err(|e| e.to_string())?;
    let cx = hookward_core::VerifyCx::new(
        good::NOW,
        secrets.active(good::NOW),
        &hookward_core::keys::NoKeys,
    )
    .with_public_url(good::PUBLIC_URL);
    match prove(trial.provider, request, &cx).await {
        Ok(Proof::Genuine(delivery)) => {
            let found = trial.provider.identify(&delivery).map_err(|e| e.to_string())?;
            found.into_iter().next().ok_or_else(|| "no event in what was signed".to_owned())
        }
        Ok(Proof::Handshake(_)) => Err(format!("{event_type} is treated as a handshake")),
        Err(e) => Err(format!("{event_type}, signed by the provider's own signer: {e}")),
    }
}

//! No secret reaches a comparison of the C library, which `==` on bytes calls. It compares short
//! texts in a few words: the difference in time is below the resolution of the other measurement,
//! and may be above that of an attacker. `comparison.c` takes the place of these functions in a
//! process that verifies a tag and a token.

use std::process::{Command, ExitCode};

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag, tokens_equal};

use crate::fault::Shim;

/// The argument with which this program compares secrets and does nothing else: as the library
/// does, or with `==`.
pub(crate) const COMPARE_SECRETS: &str = "--compare-secrets";
/// The exit code of `comparison.c`.
const SECRET_COMPARED: i32 = 97;
const TOKEN: [u8; 24] = *b"the configured token 123";

/// Compares a tag and a token that differ from the expected ones in the last byte.
pub(crate) fn compare_secrets(with_operator: bool) -> ExitCode {
    let expected = expected_tag();
    let (mut tag, mut token) = (expected.clone(), TOKEN);
    tag[expected.len() - 1] ^= 1;
    token[TOKEN.len() - 1] ^= 1;
    let found = if with_operator {
        tag == expected || token[..] == TOKEN[..]
    } else {
        let text = Encoding::Hex.encode(&tag);
        let tag = Tag::decode(&text, Encoding::Hex, 1..=64).unwrap();
        start_mac().matches_any(&[tag]) || tokens_equal(&token, &TOKEN)
    };
    if found { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn start_mac() -> HmacContext {
    let mut mac = HmacContext::new(HmacAlgorithm::Sha256, b"a key of the timing suite").unwrap();
    mac.update(b"a message");
    mac
}

fn expected_tag() -> Vec<u8> {
    start_mac().finish()
}

/// Checks that no secret is compared by the C library, and that one would be noticed.
pub(crate) fn check() -> Result<String, String> {
    if let Some(missing) = Shim::missing_requirement() {
        return Ok(format!("C library not watched: {missing}"));
    }
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let library = folder.path().join("comparison.so");
    std::fs::write(folder.path().join("comparison.c"), include_str!("comparison.c"))
        .map_err(|e| e.to_string())?;
    let compiled = Command::new("cc")
        .current_dir(folder.path())
        // Without it the compiler makes the replacement of `memcmp` call `memcmp`.
        .args(["-shared", "-fPIC", "-O1", "-fno-builtin", "-o", "comparison.so", "comparison.c"])
        .output()
        .map_err(|e| format!("cc: {e}"))?;
    if !compiled.status.success() {
        return Err(format!("cc: {}", String::from_utf8_lossy(&compiled.stderr)));
    }
    let secrets = [expected_tag(), TOKEN.to_vec()].map(|secret| Encoding::Hex.encode(&secret));
    let run = |how: &str| {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let status = Command::new(program)
            .args([COMPARE_SECRETS, how])
            .env("LD_PRELOAD", &library)
            .env("HOOKWARD_PROOF_SECRETS", secrets.join(","))
            .status();
        Ok::<_, String>(status.map_err(|e| e.to_string())?.code())
    };
    match (run("library")?, run("operator")?) {
        (Some(0), Some(SECRET_COMPARED)) => Ok("no secret compared by the C library".to_owned()),
        (Some(SECRET_COMPARED), _) => {
            Err("a secret is compared by the C library, which returns at the first difference"
                .to_owned())
        }
        (ours, canary) => Err(format!(
            "comparing ended with {ours:?}, expected 0; the canary, `==`, with {canary:?}, expected {SECRET_COMPARED}"
        )),
    }
}

//! `sluicegate token`: why is this token refused?
#![expect(clippy::disallowed_methods, reason = "the program itself knows what time it is")]

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sluicegate::auth::{BearerToken, Identity, Rejected, Voucher};
use sluicegate::cluster::VirtualCluster;
use sluicegate::config::Gateway;
use sluicegate::server;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Say whether a virtual cluster takes a token, and if not, why; the token is not printed
    ///
    /// As in a login, keys are fetched, and about a token that they cannot verify its issuer is asked, where the
    /// file says so.
    #[command(after_help = EXAMPLES)]
    Inspect(Args),
}

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: super::ConfigFile,
    /// The virtual cluster that is asked; may be left out where the file has one
    #[arg(long, value_name = "NAME")]
    virtual_cluster: Option<String>,
    #[command(flatten)]
    presented: Presented,
}

/// A token, as somebody has it at hand.
#[derive(clap::Args)]
#[group(required = true)]
pub(super) struct Presented {
    /// The access token
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// A file with the access token; - is the standard input
    #[arg(long = "token-file", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl Presented {
    pub fn read(&self) -> Result<BearerToken, String> {
        let text = match (&self.token, &self.file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => {
                read(path).map_err(|why| format!("{} can not be read: {why}", path.display()))?
            }
            (None, None) => return Err("give a token by --token or --token-file".to_owned()),
        };
        Ok(BearerToken::new(text.trim()))
    }
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text)?;
    }
    Ok(text)
}

pub(super) fn obey(command: &Command) -> ExitCode {
    let Command::Inspect(args) = command;
    let Some((gateway, _)) = args.file.load() else { return ExitCode::FAILURE };
    let verified = super::explain::cluster(&gateway, args.virtual_cluster.as_deref())
        .and_then(|cluster| Ok((verify(&gateway, &cluster, &args.presented.read()?)?, cluster)));
    match verified {
        Ok((Ok(identity), cluster)) => {
            print!("{}", shown(&identity, &cluster));
            ExitCode::SUCCESS
        }
        Ok((Err(rejected), cluster)) => {
            println!("the virtual cluster {} refuses the token: {rejected}", cluster.name);
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(super::WRONG_USE)
        }
    }
}

/// Verifies a token as a login would; the outer error is no verdict.
pub(super) fn verify(
    gateway: &Gateway,
    cluster: &Arc<VirtualCluster>,
    token: &BearerToken,
) -> Result<Result<Identity, Rejected>, String> {
    server::verify_once(cluster, &gateway.limits, token).map_err(|why| why.to_string())
}

fn shown(identity: &Identity, cluster: &VirtualCluster) -> String {
    let mut text = format!("the virtual cluster {} takes the token\n", cluster.name);
    text += &format!("  principal  {}\n", identity.principal);
    if let Some(issuer) = identity.issuer() {
        text += &format!("  issuer     {issuer}\n");
    }
    match &identity.voucher {
        Voucher::Key(Some(key)) => text += &format!("  key        {key}\n"),
        Voucher::Key(None) => {}
        Voucher::Endpoint => text += "  vouched    by the introspection endpoint, which was asked\n",
    }
    text += &format!("  good for   {}\n", good_for(identity));
    let claims: Vec<&str> = identity
        .claims
        .as_object()
        .into_iter()
        .flat_map(|claims| claims.keys())
        .map(String::as_str)
        .collect();
    text + &format!("  claims     {}\n", claims.join(", "))
}

/// For how long a token will be taken, in whole seconds.
pub(super) fn good_for(identity: &Identity) -> humantime::FormattedDuration {
    let left = identity.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
    humantime::format_duration(Duration::from_secs(left.as_secs()))
}

/// No token is longer, and a file may be anything.
const TOKEN_FILE_BYTES_MAX: u64 = 1024 * 1024;

pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate token inspect -c gateway.yaml --token-file token
  curl -s … | jq -r .access_token | sluicegate token inspect -c gateway.yaml --token-file -

Exit codes: 0 the token is taken, 1 it is refused, 2 wrong use.";

//! The file's shape, and nothing else: every section, every key, every word.

use super::measure::{ClaimValue, Pairs, PortRange, SecretText, Size, Span};
use super::shape::{Computable, List, ListOrComputed, Whole, choice, section, words};
use super::yaml::Text;

section! {
    /// The file of a Sluicegate gateway.
    File {
        /// The real Kafka clusters.
        required backend_clusters: List<BackendCluster>,
        /// What clients see: one world for each tenant.
        required virtual_clusters: List<VirtualCluster>,
        /// The ports where clients arrive.
        required listeners: List<Listener>,
        /// The port for metrics and health.
        optional admin: Admin,
        /// Bounds of everything that a peer can make grow.
        optional limits: LimitsSection,
        optional logging: Logging,
        optional audit: Audit,
        optional shutdown: Shutdown,
    }
}

section! {
    /// A real Kafka cluster, and how the gateway reaches it.
    BackendCluster {
        required name: Text,
        /// host:port of some of its brokers.
        required bootstrap_servers: List<Text>,
        /// How the gateway logs in; anonymous by default.
        optional authentication: BackendAuthentication,
        optional tls: BackendTls,
        /// Whether virtual clusters whose clients are anonymous may stand before it; no by default.
        optional insecure_allow_anonymous_virtual_cluster_auth: bool,
        /// How often the brokers are asked for again; 60 by default.
        optional metadata_update_interval_seconds: Whole<1, 43_200>,
    }
}

choice! {
    /// How the gateway logs in at the brokers.
    BackendAuthentication {
        "anonymous" => NoLogin,
        "sasl_plain" => SaslPlain,
        "sasl_scram" => SaslScram,
        "oauth_bearer" => SaslOauthBearer,
    } unsupported {}
}

section! {
    /// No login at all.
    NoLogin = "anonymous" {}
}

section! {
    /// SASL/PLAIN.
    SaslPlain = "sasl_plain" {
        required username: Text,
        required password: SecretText,
    }
}

section! {
    /// SASL/SCRAM.
    SaslScram = "sasl_scram" {
        required algorithm: ScramAlgorithm,
        required username: Text,
        required password: SecretText,
    }
}

section! {
    /// SASL/OAUTHBEARER: the gateway gets tokens of its own, at a token endpoint, from a file, or by what
    /// the files of a directory say.
    SaslOauthBearer = "oauth_bearer" {
        /// The URL where tokens are got by client credentials.
        optional token_endpoint: Text,
        /// As whom the gateway asks there.
        optional client_id: Text,
        optional client_secret: SecretText,
        /// How the secret is sent; basic by default: in the header of HTTP Basic.
        optional client_authentication: ClientAuthenticationWord,
        /// A signed assertion instead of a secret (RFC 7523).
        optional client_assertion: ClientAssertionSection,
        /// A file that holds the token itself; read again when it changes.
        optional token_file: Text,
        /// A directory with the files client_id, client_secret, token_endpoint_url and, if need be, method,
        /// extensions and scope, as a mounted Kubernetes secret has them; read again when it changes.
        optional credentials_directory: Text,
        /// What is asked for at the token endpoint; none by default.
        optional scope: Text,
        /// For whom the token is to be; not said by default.
        optional audience: Text,
        /// SASL extensions that the broker gets beside the token.
        optional extensions: Pairs,
        /// TLS toward the token endpoint.
        optional tls: TokenEndpointTls,
        /// How long one request at the token endpoint may take; 10s by default.
        optional timeout: Span,
    }
}

words! {
    /// Where a client's secret stands in a request.
    ClientAuthenticationWord {
        "basic" => Basic,
        "post" => Post,
    } unsupported {}
}

section! {
    /// An assertion that the gateway signs, or one that somebody else writes into a file.
    ClientAssertionSection {
        /// The client's private key, as PEM.
        optional key: SecretText,
        /// By what the key signs.
        optional algorithm: SigningAlgorithm,
        /// By what name the token endpoint knows the key; not said by default.
        optional key_id: Text,
        /// For whom the assertion is; the token endpoint's URL by default.
        optional audience: Text,
        /// A file that holds an assertion; read for each request.
        optional file: Text,
    }
}

words! {
    /// How a key signs.
    SigningAlgorithm {
        "RS256" => Rs256,
        "RS384" => Rs384,
        "RS512" => Rs512,
        "PS256" => Ps256,
        "PS384" => Ps384,
        "PS512" => Ps512,
        "ES256" => Es256,
        "ES384" => Es384,
        "EdDSA" => EdDsa,
    } unsupported {}
}

section! {
    /// TLS toward a token endpoint.
    TokenEndpointTls {
        /// Certificates to trust, as PEM; the system's own by default.
        optional ca_bundle: Text,
    }
}

words! {
    /// The hash of a SCRAM exchange.
    ScramAlgorithm {
        "sha256" => Sha256,
        "sha512" => Sha512,
    } unsupported {}
}

section! {
    /// TLS toward the brokers.
    BackendTls {
        /// Whether TLS is spoken at all.
        required enabled: bool,
        /// Certificates to trust, as PEM; the system's own by default.
        optional ca_bundle: Text,
        /// Both by default.
        optional tls_versions: List<TlsVersion>,
        /// Accept any certificate: for tests only.
        optional insecure_skip_verify: bool,
        /// The name that brokers' certificates must bear; the host of their address by default.
        optional server_name: Text,
        /// The certificate that the gateway shows.
        optional client_identity: ClientIdentitySection,
    }
}

words! {
    /// A version of TLS.
    TlsVersion {
        "tls12" => Tls12,
        "tls13" => Tls13,
    } unsupported {
        "tls10" => "it is broken",
        "tls11" => "it is broken",
    }
}

section! {
    /// A certificate and its key.
    ClientIdentitySection {
        /// The certificate and those above it, as PEM.
        required certificate: Text,
        /// The private key, as PEM.
        required key: SecretText,
    }
}

section! {
    /// One tenant's world.
    VirtualCluster {
        required name: Text,
        required destination: Destination,
        /// What its server names are made with, where listeners tell clusters apart by these; without effect on ports.
        optional dns_label: Text,
        /// Where ACLs are decided; enforce_on_gateway by default.
        optional acl_mode: AclMode,
        /// How its clients log in, in order: the first that fits decides.
        required authentication: List<Authentication>,
        /// Whether tokens and passwords may travel without TLS where others can reach them; warn by default.
        optional credentials_without_tls: CredentialsWithoutTls,
        required namespace: NamespaceSection,
        /// Second names under which clients find topics; none by default.
        optional topic_aliases: List<TopicAlias>,
        optional cluster_policies: List<ClusterPolicy>,
        /// Calls about the whole Kafka cluster that go on to it, where a rule about the cluster allows
        /// them; none by default.
        optional operator_apis: List<OperatorApiWord>,
        /// What becomes of clients' metrics; withheld by default.
        optional telemetry: TelemetryWord,
        /// What clients are told the cluster is called; derived from the names by default.
        optional cluster_id: Text,
    }
}

section! {
    /// What something leads to.
    Destination {
        required name: Text,
    }
}

words! {
    /// What becomes of a file by which tokens and passwords travel without TLS.
    CredentialsWithoutTls {
        "warn" => Warn,
        "forbid" => Forbid,
    } unsupported {}
}

words! {
    /// A call about the whole Kafka cluster.
    OperatorApiWord {
        "WriteTxnMarkers" => WriteTxnMarkers,
        "AlterReplicaLogDirs" => AlterReplicaLogDirs,
        "CreateDelegationToken" => CreateDelegationToken,
        "RenewDelegationToken" => RenewDelegationToken,
        "ExpireDelegationToken" => ExpireDelegationToken,
        "DescribeDelegationToken" => DescribeDelegationToken,
        "ElectLeaders" => ElectLeaders,
        "AlterPartitionReassignments" => AlterPartitionReassignments,
        "ListPartitionReassignments" => ListPartitionReassignments,
        "DescribeClientQuotas" => DescribeClientQuotas,
        "AlterClientQuotas" => AlterClientQuotas,
        "DescribeUserScramCredentials" => DescribeUserScramCredentials,
        "AlterUserScramCredentials" => AlterUserScramCredentials,
        "DescribeQuorum" => DescribeQuorum,
        "UpdateFeatures" => UpdateFeatures,
        "UnregisterBroker" => UnregisterBroker,
        "ListConfigResources" => ListConfigResources,
    } unsupported {}
}

words! {
    /// What becomes of what clients would tell the brokers of how they fare (KIP-714).
    TelemetryWord {
        "withheld" => Withheld,
        "forward" => Forward,
    } unsupported {}
}

words! {
    /// Where ACLs are decided.
    AclMode {
        "enforce_on_gateway" => EnforceOnGateway,
        "passthrough" => Passthrough,
    } unsupported {}
}

choice! {
    /// How clients log in.
    Authentication {
        "oauth_bearer" => OauthBearerSection,
        "sasl_plain" => PlainLogin,
        "sasl_scram" => ScramLogin,
        "client_certificate" => CertificateLogin,
        "anonymous" => AnonymousSection,
    } unsupported {
    }
}

section! {
    /// Anybody who reaches the port.
    AnonymousSection = "anonymous" {}
}

section! {
    /// A name and a password, by SASL/PLAIN.
    PlainLogin = "sasl_plain" {
        /// What the broker gets to see; terminate by default: the gateway's own login.
        optional mediation: PasswordMediation,
        /// Who may log in; with passthrough the broker knows.
        optional principals: List<PlainPrincipal>,
        /// Where other names and passwords are exchanged, as client ids and secrets, for tokens that say who
        /// logs in.
        optional token_endpoint: LoginEndpointSection,
        /// How long a session may last before the client logs in again; for ever by default.
        optional session_lifetime_max: Span,
    }
}

section! {
    /// A token endpoint at which clients' names and passwords are exchanged for tokens.
    LoginEndpointSection {
        /// Its URL.
        required endpoint: Text,
        /// How the secret is sent; basic by default: in the header of HTTP Basic.
        optional client_authentication: ClientAuthenticationWord,
        /// What is asked for; none by default.
        optional scope: Text,
        /// For whom the token is to be; not said by default.
        optional audience: Text,
        /// For one answer as a whole; 10s by default.
        optional timeout: Span,
        /// TLS toward it.
        optional tls: IssuerTls,
        /// The URL of a proxy; none by default, whatever the environment says.
        optional proxy: Text,
        /// Whether plain http may lead to another machine; no by default.
        optional insecure_allow_http: bool,
    }
}

section! {
    /// Somebody with a password.
    PlainPrincipal {
        required username: Text,
        /// In clear, or hashed: $pbkdf2-sha256$i=600000$SALT$HASH.
        required password: SecretText,
    }
}

section! {
    /// The certificate that a client showed in TLS, without any other login.
    CertificateLogin = "client_certificate" {
        /// What the principal is called, by rules in the syntax of Kafka's ssl.principal.mapping.rules;
        /// the certificate's whole subject by default.
        optional principal_mapping: List<Text>,
    }
}

section! {
    /// A name and a password that is proven and never said, by SASL/SCRAM.
    ScramLogin = "sasl_scram" {
        required algorithm: ScramAlgorithm,
        /// What the broker gets to see; terminate by default: the gateway's own login.
        optional mediation: PasswordMediation,
        /// Who may log in; with passthrough the broker knows.
        optional principals: List<ScramPrincipal>,
        /// How long a session may last before the client logs in again; for ever by default.
        optional session_lifetime_max: Span,
    }
}

section! {
    /// Somebody with a password, or with what SCRAM derives from it: one of the two.
    ScramPrincipal {
        required username: Text,
        /// In clear.
        optional password: SecretText,
        /// As Kafka writes it: salt=…,stored_key=…,server_key=…,iterations=….
        optional credential: SecretText,
    }
}

words! {
    /// What the broker gets to see of a client's name and password.
    PasswordMediation {
        "terminate" => Terminate,
        "passthrough" => Passthrough,
    } unsupported {
        "validate_forward" => "only a token can be verified here and go on",
    }
}

section! {
    /// An OAuth access token, by SASL/OAUTHBEARER.
    OauthBearerSection = "oauth_bearer" {
        /// What the broker gets to see; terminate by default: the gateway's own login.
        optional mediation: Mediation,
        /// Where the issuer's keys are; where its metadata says, by default. With passthrough the broker has
        /// them; with introspection alone none are needed.
        optional jwks: Jwks,
        /// Where the issuer is asked about tokens: about those that keys can not verify, or, without jwks,
        /// about all; nowhere by default.
        optional introspection: IntrospectionSection,
        optional validate: Validate,
        /// Which claims say who the client is.
        optional claims_mapping: ClaimsMapping,
        /// How long a session may last at most; until its token expires by default.
        optional session_lifetime_max: Span,
        /// How far the issuer's clock may be off; 10s by default.
        optional clock_skew: Span,
    }
}

words! {
    /// What the broker gets to see of a client's login.
    Mediation {
        "terminate" => Terminate,
        "validate_forward" => ValidateForward,
        "passthrough" => Passthrough,
    } unsupported {}
}

section! {
    /// Where the issuer's keys are: at an endpoint, in a file, or where the metadata of validate.issuer says.
    Jwks {
        /// The URL of the key set.
        optional endpoint: Text,
        /// A file with the key set.
        optional file: Text,
        /// How long one answer may take; 10s by default.
        optional timeout: Span,
        /// TLS toward the issuer.
        optional tls: IssuerTls,
        /// The URL of a proxy; none by default, whatever the environment says.
        optional proxy: Text,
        /// Whether plain http may lead to another machine; no by default.
        optional insecure_allow_http: bool,
        /// After how long the set is fetched again; 1h by default.
        optional cache_expiration: Span,
        /// The least time between two fetches that an unknown key causes; 30s by default.
        optional refresh_interval_min: Span,
        /// How long the last good set serves on while the issuer is down; 24h by default.
        optional stale_max: Span,
    }
}

section! {
    /// An endpoint that says of a token whether it is active, and whose it is (RFC 7662).
    IntrospectionSection {
        /// Its URL.
        required endpoint: Text,
        /// As whom the gateway asks there.
        optional client_id: Text,
        optional client_secret: SecretText,
        /// How the secret is sent; basic by default: in the header of HTTP Basic.
        optional client_authentication: ClientAuthenticationWord,
        /// A signed assertion instead of a secret (RFC 7523).
        optional client_assertion: ClientAssertionSection,
        /// How long one answer may take; 10s by default.
        optional timeout: Span,
        /// TLS toward the endpoint.
        optional tls: IssuerTls,
        /// The URL of a proxy; none by default, whatever the environment says.
        optional proxy: Text,
        /// Whether plain http may lead to another machine; no by default.
        optional insecure_allow_http: bool,
        /// How long an active token is taken for active without asking again; 60s by default and at most.
        optional cache_lifetime_max: Span,
    }
}

section! {
    /// TLS toward an issuer.
    IssuerTls {
        /// Certificates to trust, as PEM; the system's own by default.
        optional ca_bundle: Text,
    }
}

section! {
    /// What a token must say.
    Validate {
        /// The claim iss.
        optional issuer: Text,
        /// Any of these suffices in the claim aud.
        optional audiences: List<Audience>,
        /// How long a token may live from its issue to its expiry; 24h by default.
        optional lifetime_max: Span,
        /// What the header typ may say; all of them by default.
        optional types: List<TypeWord>,
        /// To which clients a token may have been issued, by azp and client_id; any by default.
        optional authorized_parties: List<Text>,
        /// Claims that must be there; none by default.
        optional required_claims: List<RequiredClaimSection>,
    }
}

words! {
    /// What a token's header says it is.
    TypeWord {
        "absent" => Absent,
        "JWT" => Jwt,
        "at+jwt" => AccessToken,
        "application/at+jwt" => WholeAccessToken,
    } unsupported {}
}

section! {
    /// A claim that must be there.
    RequiredClaimSection {
        /// The claim; one inside another by its path: realm_access.roles, ["http://x/y"].
        required name: Text,
        /// Any of these must be its value, or stand in its list; any value by default.
        optional values: List<ClaimValue>,
    }
}

section! {
    /// One audience.
    Audience {
        required name: Text,
    }
}

section! {
    /// Which claims stand for which.
    ClaimsMapping {
        /// The claim that names the principal, or the path to it; sub by default.
        optional sub: Text,
        /// The claim that lists scopes, or the path to it; scope by default.
        optional scope: Text,
    }
}

section! {
    /// Which backend names are the tenant's, and what its clients call them.
    NamespaceSection {
        required mode: NamespaceMode,
        /// What all its names begin with on the backend; `"${context.auth.token.claims.tenant}."` gives each
        /// client the prefix that its token says.
        required prefix: Computable,
        optional additional: AdditionalSection,
    }
}

words! {
    /// What clients see of the prefix.
    NamespaceMode {
        "hide_prefix" => HidePrefix,
        "enforce_prefix" => EnforcePrefix,
    } unsupported {}
}

section! {
    /// Names outside the prefix that are shown as they are.
    AdditionalSection {
        optional topics: List<AdditionalNames>,
        optional consumer_groups: List<AdditionalNames>,
    }
}

choice! {
    /// Some additional names.
    AdditionalNames {
        "exact_list" => ExactList,
        "glob" => GlobNames,
    } unsupported {}
}

section! {
    /// Names one by one.
    ExactList = "exact_list" {
        required exact_list: List<BackendName>,
        optional conflict: Conflict,
    }
}

section! {
    /// All names that a pattern matches.
    GlobNames = "glob" {
        /// `*` stands for any run of characters, `?` for one.
        required glob: Text,
        optional conflict: Conflict,
    }
}

section! {
    /// One name, as the backend has it.
    BackendName {
        required backend: Text,
    }
}

words! {
    /// Whether a name that could mean two things is told of; warn by default.
    Conflict {
        "warn" => Warn,
        "ignore" => Ignore,
    } unsupported {}
}

section! {
    /// A second name for a topic.
    TopicAlias {
        /// What clients may call the topic as well.
        required alias: Text,
        /// The topic, as clients call it.
        required topic: Text,
    }
}

choice! {
    /// A policy of a virtual cluster.
    ClusterPolicy {
        "acls" => AclsPolicy,
    } unsupported {}
}

section! {
    /// Who may do what.
    AclsPolicy = "acls" {
        required name: Text,
        /// Yes by default; a policy that is off is checked all the same.
        optional enabled: bool,
        /// When its rules count, over the client's token; always by default.
        optional condition: Text,
        required config: AclsConfig,
    }
}

section! {
    AclsConfig {
        required rules: List<AclRule>,
    }
}

section! {
    /// Allows or denies operations on names.
    AclRule {
        required resource_type: ResourceWord,
        required action: Action,
        required operations: List<OperationName>,
        /// Names and patterns, or one expression that yields a list of names for each login.
        optional resource_names: ListOrComputed<ResourceName>,
    }
}

words! {
    /// What kind of thing a rule speaks of.
    ResourceWord {
        "topic" => Topic,
        "group" => Group,
        "transactional_id" => TransactionalId,
        "cluster" => Cluster,
    } unsupported {}
}

words! {
    /// Whether a rule gives or takes.
    Action {
        "allow" => Allow,
        "deny" => Deny,
    } unsupported {}
}

section! {
    OperationName {
        required name: OperationWord,
    }
}

words! {
    /// What a rule lets somebody do.
    OperationWord {
        "all" => All,
        "alter" => Alter,
        "alter_configs" => AlterConfigs,
        "create" => Create,
        "delete" => Delete,
        "describe" => Describe,
        "describe_configs" => DescribeConfigs,
        "idempotent_write" => IdempotentWrite,
        "read" => Read,
        "write" => Write,
    } unsupported {}
}

section! {
    ResourceName {
        /// A name as clients use it, or a pattern with `*` and `?`; what `${context…}` brings is literal.
        required r#match: Computable,
    }
}

section! {
    /// Ports where clients arrive, and the virtual clusters behind them.
    Listener {
        required name: Text,
        /// The IP addresses to listen at.
        required addresses: List<Text>,
        /// Ports and ranges: 9092, "19092-19192".
        required ports: List<PortRange>,
        /// TLS toward clients; none by default.
        optional tls_server: TlsServer,
        required policies: List<ListenerPolicy>,
    }
}

section! {
    /// TLS toward clients.
    TlsServer {
        required certificates: List<ServerCertificate>,
        /// Both by default.
        optional tls_versions: List<TlsVersion>,
        /// Certificates of the clients' own; none are asked for by default.
        optional client_authentication: ClientAuthenticationSection,
    }
}

section! {
    /// How clients prove by certificates who they are.
    ClientAuthenticationSection {
        /// Whether a client without a certificate is turned away.
        required mode: ClientAuthenticationMode,
        /// The certificates of those who may vouch for a client, as PEM.
        required trust_bundle: Text,
        /// The lists of what these have revoked, as PEM, one of each issuer; nobody asks by default.
        optional crl: Text,
    }
}

words! {
    /// Whether a client without a certificate is turned away.
    ClientAuthenticationMode {
        "required" => Required,
        "requested" => Requested,
    } unsupported {}
}

section! {
    ServerCertificate {
        /// The certificate and those above it, as PEM.
        required certificate: Text,
        /// The private key, as PEM.
        required key: SecretText,
    }
}

choice! {
    /// A policy of a listener.
    ListenerPolicy {
        "forward_to_virtual_cluster" => ForwardPolicy,
    } unsupported {
        "tls_server" => "TLS is a key of the listener itself, tls_server",
    }
}

section! {
    /// Leads to a virtual cluster.
    ForwardPolicy = "forward_to_virtual_cluster" {
        optional name: Text,
        /// Yes by default; a policy that is off is checked all the same.
        optional enabled: bool,
        required config: Forward,
    }
}

choice! {
    /// How brokers are told apart.
    Forward {
        "port_mapping" => PortMapping,
        "sni" => ServerNamesSection,
    } unsupported {}
}

section! {
    /// Bootstrap on the first port, each broker on one of its own.
    PortMapping = "port_mapping" {
        /// The host that clients are told to connect to.
        required advertised_host: Text,
        /// at_start by default.
        optional bootstrap_port: BootstrapPortWord,
        /// The lowest id of a broker; 0 by default.
        optional min_broker_id: Whole<0, 2_147_483_647>,
        required destination: Destination,
    }
}

section! {
    /// Each broker of each virtual cluster under a server name of its own, all of them on the same ports.
    ServerNamesSection = "sni" {
        /// What stands behind a virtual cluster's dns_label in its names, beginning with a dot or a dash.
        optional sni_suffix: Text,
        /// The port that clients are told to connect to; the listener's first by default.
        optional advertised_port: Whole<1, 65_535>,
        /// per_cluster_suffix by default.
        optional broker_host_format: BrokerHostFormat,
        /// One virtual cluster; every one that has a dns_label by default.
        optional destination: Destination,
    }
}

choice! {
    /// How the names of brokers are put together.
    BrokerHostFormat {
        "per_cluster_suffix" => PerClusterSuffix,
        "shared_suffix" => SharedSuffix,
    } unsupported {}
}

section! {
    /// broker-1.LABEL and the suffix: a certificate for each virtual cluster.
    PerClusterSuffix = "per_cluster_suffix" {}
}

section! {
    /// broker-1-LABEL and the suffix: one wildcard certificate serves all.
    SharedSuffix = "shared_suffix" {}
}

words! {
    /// Whether the first port is for clients that know no broker yet.
    BootstrapPortWord {
        "at_start" => AtStart,
        "none" => None,
    } unsupported {}
}

section! {
    /// The port for metrics and health.
    Admin {
        /// Address and port, or "disabled"; 127.0.0.1:8090 by default.
        optional listen: Text,
    }
}

section! {
    LimitsSection {
        /// The longest frame before login; 64KiB by default.
        optional frame_bytes_before_login: Size,
        /// The longest frame; 100MiB by default.
        optional frame_bytes: Size,
        /// Client connections in all; 10000 by default.
        optional connections: Whole<1, 10_000_000>,
        /// How long a client may take to log in; 10s by default.
        optional login_timeout: Span,
        /// Logins that go on to the brokers of one virtual cluster unverified, at once; 256 by default.
        optional relayed_logins: Whole<1, 10_000_000>,
        /// Requests of one connection that wait for their answer; 256 by default.
        optional requests_in_flight: Whole<1, 100_000>,
        /// The longest frame of a broker; 512MiB by default.
        optional frame_bytes_from_broker: Size,
        /// Strings in one request, names above all; 100000 by default.
        optional names_per_request: Whole<1, 100_000_000>,
        /// Elements of all lists in one request; 1000000 by default.
        optional elements_per_request: Whole<1, 100_000_000>,
        /// Elements of all lists in one answer of a broker; 10000000 by default.
        optional elements_per_response: Whole<1, 1_000_000_000>,
        /// The longest token; 16KiB by default.
        optional token_bytes: Size,
        /// The largest key set; 1MiB by default.
        optional key_set_bytes: Size,
    }
}

section! {
    Logging {
        /// text by default.
        optional format: LogFormat,
        /// A level, or levels per module: info by default, "info,sluicegate::session=debug".
        optional level: Text,
    }
}

words! {
    /// How log lines look.
    LogFormat {
        "text" => Text,
        "json" => Json,
    } unsupported {}
}

section! {
    /// One line for each login and each refusal.
    Audit {
        /// stdout, a path, or disabled; stdout by default.
        optional file: Text,
    }
}

section! {
    Shutdown {
        /// How long requests in flight may take to finish; 30s by default.
        optional drain_timeout: Span,
    }
}

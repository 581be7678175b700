//! A client as it should be.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::keys::Credentials;
use super::realm::{Ask, Realm};
use super::{Failure, Secret, Settings};

/// Sees to the client, its audiences, roles and secret; says what was done.
pub(super) async fn register(settings: &Settings) -> Result<(Credentials, Vec<String>), Failure> {
    let realm = Realm::enter(settings).await?;
    let mut desk = Desk { realm, settings, steps: Vec::new() };
    let client = desk.client().await?;
    desk.audiences(&client).await?;
    desk.roles(&client).await?;
    let client_secret = desk.secret(&client.id).await?;
    desk.realm.try_out(&settings.client, &client_secret).await?;
    desk.steps.push(format!("client {:?} gets a token with its secret", settings.client));
    let token_endpoint = settings.token_url.as_ref().unwrap_or(&desk.realm.token_endpoint);
    let credentials = Credentials {
        client_id: settings.client.clone(),
        client_secret,
        token_endpoint_url: token_endpoint.to_string(),
        scope: settings.scope.clone(),
        extensions: settings.extensions.clone(),
    };
    Ok((credentials, desk.steps))
}

struct Desk<'s> {
    realm: Realm,
    settings: &'s Settings,
    steps: Vec<String>,
}

/// A client as Keycloak has it.
#[derive(Deserialize)]
struct Client {
    id: String,
    #[serde(flatten)]
    rest: Map<String, Json>,
}

#[derive(Deserialize)]
struct ClientSecret {
    value: Option<Secret>,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

/// What one may log in with otherwise, as Keycloak's words and ours.
const OTHER_WAYS: [(&str, &str); 3] = [
    ("standardFlowEnabled", "logins by a browser"),
    ("implicitFlowEnabled", "the implicit flow"),
    ("directAccessGrantsEnabled", "direct grants"),
];

impl Desk<'_> {
    async fn client(&mut self) -> Result<Client, Failure> {
        let id = &self.settings.client;
        if let Some(client) = self.found().await? {
            return self.fitting(client).await;
        }
        let ask = Ask { path: &["clients"], query: None, what: "make clients", needs: "manage-clients" };
        let mut body = Json::Object(shape());
        body["clientId"] = id.as_str().into();
        body["enabled"] = true.into();
        if self.realm.add(ask, &body).await? {
            self.steps.push(format!("client {id:?} made in realm {:?}", self.settings.realm));
        }
        match self.found().await? {
            // Somebody else may have been quicker.
            Some(client) => self.fitting(client).await,
            None => Err(not_there("see the client that was made")),
        }
    }

    async fn found(&self) -> Result<Option<Client>, Failure> {
        let query = Some(("clientId", self.settings.client.as_str()));
        let ask = Ask { path: &["clients"], query, what: "see clients", needs: "manage-clients" };
        let clients: Vec<Client> = self.realm.read(ask).await?;
        let is_it = |client: &Client| client.text("clientId") == Some(&self.settings.client);
        Ok(clients.into_iter().find(is_it))
    }

    /// The client, if it is one for machines alone, or may be made one.
    async fn fitting(&mut self, mut client: Client) -> Result<Client, Failure> {
        let id = &self.settings.client;
        if !client.is("enabled") {
            return Err(Failure::Disabled(id.clone()));
        }
        let Some(failure) = client.misfit(id) else {
            if self.steps.is_empty() {
                self.steps.push(format!("client {id:?} is there in realm {:?}", self.settings.realm));
            }
            return Ok(client);
        };
        if !self.settings.adopt {
            return Err(failure);
        }
        client.rest.extend(shape());
        // What is sent back would overwrite a secret that changes meanwhile.
        client.rest.remove("secret");
        let mut body = Json::Object(client.rest.clone());
        body["id"] = client.id.as_str().into();
        let path = ["clients", client.id.as_str()];
        let ask = Ask { path: &path, query: None, what: "change clients", needs: "manage-clients" };
        self.realm.replace(ask, &body).await?;
        self.steps.push(format!("client {id:?} changed: it is for machines alone now"));
        Ok(client)
    }

    async fn audiences(&mut self, client: &Client) -> Result<(), Failure> {
        let path = ["clients", client.id.as_str(), "protocol-mappers", "models"];
        let needs = "manage-clients";
        let ask = |what| Ask { path: &path, query: None, what, needs };
        let mappers: Vec<Json> = self.realm.read(ask("see mappers")).await?;
        for audience in &self.settings.audiences {
            if mappers.iter().any(|mapper| names(mapper, audience)) {
                continue;
            }
            let name = format!("audience {audience}");
            let mut body = json!({
                "name": name,
                "protocol": "openid-connect",
                "protocolMapper": AUDIENCE_MAPPER,
                "config": {"included.custom.audience": audience, "access.token.claim": "true"},
            });
            match mappers.iter().find(|mapper| mapper["name"] == name.as_str()) {
                // Ours once, and changed since.
                Some(Json::Object(mapper)) if mapper.get("id").is_some_and(Json::is_string) => {
                    let mapper_id = mapper["id"].as_str().unwrap_or_default();
                    body["id"] = mapper_id.into();
                    let path: Vec<&str> = path.iter().copied().chain([mapper_id]).collect();
                    let ask = Ask { path: &path, query: None, what: "change mappers", needs };
                    self.realm.replace(ask, &body).await?;
                }
                _ => drop(self.realm.add(ask("make mappers"), &body).await?),
            }
            self.steps.push(format!("audience {audience:?} put into its tokens"));
        }
        Ok(())
    }

    async fn roles(&mut self, client: &Client) -> Result<(), Failure> {
        let settings = self.settings;
        if settings.roles.is_empty() && settings.client_roles.is_empty() {
            return Ok(());
        }
        let path = ["clients", client.id.as_str(), "service-account-user"];
        let ask = Ask { path: &path, query: None, what: "see the service account", needs: "manage-clients" };
        let user: User = self.realm.read(ask).await?;
        let mapped = ["users", user.id.as_str(), "role-mappings"];
        self.roles_of(&["roles"], &[&mapped[..], &["realm"]].concat(), &settings.roles).await?;
        let own = ["clients", client.id.as_str()];
        let (roles, mapped) = ([&own[..], &["roles"]].concat(), [&mapped[..], &own].concat());
        self.roles_of(&roles, &mapped, &settings.client_roles).await
    }

    /// Makes roles that are not there, and gives those that the account does not have.
    async fn roles_of(&mut self, roles: &[&str], mapped: &[&str], wanted: &[String]) -> Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let needs = "manage-users";
        let ask = Ask { path: mapped, query: None, what: "see the account's roles", needs };
        let has: Vec<Json> = self.realm.read(ask).await?;
        for name in wanted.iter().filter(|name| !has.iter().any(|role| role["name"] == name.as_str())) {
            let role = match self.role(roles, name).await? {
                Some(role) => role,
                None => {
                    let (what, needs) = ("make roles", "manage-realm (for --client-role: manage-clients)");
                    let ask = Ask { path: roles, query: None, what, needs };
                    self.realm.add(ask, &json!({"name": name})).await?;
                    self.steps.push(format!("role {name:?} made"));
                    self.role(roles, name).await?.ok_or_else(|| not_there("see the role that was made"))?
                }
            };
            let ask = Ask { path: mapped, query: None, what: "give roles", needs };
            self.realm.add(ask, &Json::Array(vec![role])).await?;
            self.steps.push(format!("role {name:?} given to its service account"));
        }
        Ok(())
    }

    async fn role(&self, roles: &[&str], name: &str) -> Result<Option<Json>, Failure> {
        let path = [roles, &[name]].concat();
        let needs = "view-realm (for --client-role: manage-clients)";
        self.realm.find(Ask { path: &path, query: None, what: "see roles", needs }).await
    }

    async fn secret(&mut self, id: &str) -> Result<Secret, Failure> {
        let path = ["clients", id, "client-secret"];
        let ask = |what| Ask { path: &path, query: None, what, needs: "manage-clients" };
        let secret: ClientSecret = if self.settings.new_secret {
            let secret = self.realm.renew(ask("give clients new secrets")).await?;
            self.steps.push(format!("client {:?} has a new secret", self.settings.client));
            secret
        } else {
            self.realm.read(ask("read a client's secret")).await?
        };
        // Stars: Keycloak hides it, and no client could log in with them.
        let is_there =
            |text: &str| !text.bytes().all(|byte| byte == b'*') && !text.contains(char::is_control);
        let secret = secret.value.filter(|secret| is_there(secret.expose()));
        secret.ok_or_else(|| Failure::NoSecret(self.settings.client.clone()))
    }
}

impl Client {
    fn is(&self, name: &str) -> bool {
        self.rest.get(name).and_then(Json::as_bool).unwrap_or(false)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.rest.get(name).and_then(Json::as_str)
    }

    /// Why it is not one for machines alone.
    fn misfit(&self, id: &str) -> Option<Failure> {
        let client = id.to_owned();
        if self.is("publicClient") {
            return Some(Failure::Public(client));
        }
        let ways = OTHER_WAYS.iter().filter(|(name, _)| self.is(name));
        let ways: Vec<&str> = ways.map(|(_, words)| *words).collect();
        if !ways.is_empty() {
            return Some(Failure::OtherUse { client, what: ways.join(", ") });
        }
        if self.is("bearerOnly") {
            return Some(Failure::OtherUse { client, what: "bearer only".to_owned() });
        }
        if self.text("clientAuthenticatorType").is_some_and(|kind| kind != "client-secret") {
            return Some(Failure::OtherUse {
                client,
                what: "it proves itself by something else than a secret".to_owned(),
            });
        }
        (!self.is("serviceAccountsEnabled")).then_some(Failure::ServiceAccountOff(client))
    }
}

/// What makes a client one for machines alone.
fn shape() -> Map<String, Json> {
    let shape = json!({
        "protocol": "openid-connect",
        "publicClient": false,
        "bearerOnly": false,
        "clientAuthenticatorType": "client-secret",
        "serviceAccountsEnabled": true,
        "standardFlowEnabled": false,
        "implicitFlowEnabled": false,
        "directAccessGrantsEnabled": false,
    });
    match shape {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

/// Whether this mapper puts this audience into access tokens.
fn names(mapper: &Json, audience: &str) -> bool {
    mapper["protocolMapper"] == AUDIENCE_MAPPER
        && mapper["config"]["included.custom.audience"] == audience
        && mapper["config"]["access.token.claim"] == "true"
}

fn not_there(what: &'static str) -> Failure {
    let why = "it is not there; run it again".to_owned();
    Failure::Unreadable { at: "Keycloak".to_owned(), what, why }
}

const AUDIENCE_MAPPER: &str = "oidc-audience-mapper";

#[cfg(test)]
mod tests {
    use super::*;

    fn client(change: &Json) -> Client {
        let mut rest = shape();
        rest.extend(change.as_object().unwrap().clone());
        Client { id: "1".to_owned(), rest }
    }

    #[test]
    fn only_a_client_for_machines_alone_is_taken_as_it_is() {
        let check = |change: Json, expected: &str| {
            let told = client(&change).misfit("app").map(|failure| failure.to_string()).unwrap_or_default();
            assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{change}: {told}");
        };
        check(json!({}), "");
        check(json!({"publicClient": true}), "is public");
        check(json!({"serviceAccountsEnabled": false}), "service account is off");
        check(json!({"standardFlowEnabled": true, "serviceAccountsEnabled": false}), "logins by a browser");
        check(json!({"directAccessGrantsEnabled": true}), "direct grants");
        check(json!({"bearerOnly": true}), "bearer only");
        check(json!({"clientAuthenticatorType": "client-jwt"}), "something else than a secret");
    }

    #[test]
    fn an_audience_that_no_access_token_gets_does_not_count() {
        let mapper = |kind: &str, audience: &str, claim: &str| {
            let config = json!({"included.custom.audience": audience, "access.token.claim": claim});
            names(&json!({"protocolMapper": kind, "config": config}), "kafka")
        };
        assert!(mapper("oidc-audience-mapper", "kafka", "true"));
        assert!(!mapper("oidc-audience-mapper", "kafka", "false"));
        assert!(!mapper("oidc-audience-mapper", "other", "true"));
        assert!(!mapper("oidc-usermodel-attribute-mapper", "kafka", "true"));
    }
}

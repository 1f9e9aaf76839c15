// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/certs/certificate_keeper.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "controller/kube/certs/serving_files.h"
#include "controller/kube/certs/x509.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

// Between two looks where several replicas write at once.
constexpr absl::Duration kAfterConflict = absl::Milliseconds(100);

// A key of a Secret's data; what is not base64 reads as empty.
std::string DataAt(const json& secret, const char* key) {
  std::string bytes;
  return absl::Base64Unescape(StringAt(MapAt(secret, "data"), key), &bytes) ? bytes : "";
}

TlsMaterial MaterialOf(const json& secret) {
  return {DataAt(secret, "ca.crt"), DataAt(secret, "ca.key"), DataAt(secret, "tls.crt"), DataAt(secret, "tls.key")};
}

void Put(json& secret, const TlsMaterial& material) {
  json& data = MapIn(secret, "data");
  data["ca.crt"] = absl::Base64Escape(material.ca_bundle);
  data["ca.key"] = absl::Base64Escape(material.ca_key);
  data["tls.crt"] = absl::Base64Escape(material.cert);
  data["tls.key"] = absl::Base64Escape(material.key);
}

}  // namespace

CertificateKeeper::CertificateKeeper(EventLoop& loop, ApiClient& client, Options options, Hooks hooks)
    : loop_(loop),
      client_(client),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      publisher_(loop, client, options_.publish, hooks_.on_publish_problem) {}

CertificateKeeper::~CertificateKeeper() {
  client_.Cancel(request_);
  loop_.Cancel(timer_);
}

void CertificateKeeper::Start() {
  served_ = ReadServingFiles(options_.folder);  // by a process before this one, and trusted still
  LookAfter(absl::ZeroDuration());
}

std::string CertificateKeeper::Collection() const {
  return absl::StrCat("/api/v1/namespaces/", options_.ns, "/secrets");
}

void CertificateKeeper::LookAfter(absl::Duration delay) {
  loop_.Cancel(timer_);
  timer_ = loop_.RunAfter(delay, [this] {
    timer_ = 0;
    Look();
  });
}

void CertificateKeeper::Look() {
  ApiRequest request;
  request.verb = "get";
  request.resource = "secrets";
  request.path = absl::StrCat(Collection(), "/", options_.secret);
  request_ = client_.Do(std::move(request), [this](const absl::StatusOr<ApiResponse>& response) {
    request_ = 0;
    OnRead(response);
  });
}

void CertificateKeeper::OnRead(const absl::StatusOr<ApiResponse>& response) {
  const bool absent = absl::IsNotFound(response.status());
  if (!response.ok() && !absent) return Problem(response.status());
  json secret = absent ? json::object() : json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  if (!secret.is_object()) {
    return Problem(absl::InternalError("what the API server answered for the Secret is no JSON object"));
  }
  // One that was deleted comes back as it was, so that nobody must learn to trust anew.
  const TlsMaterial have = absent ? served_ : MaterialOf(secret);
  absl::StatusOr<std::optional<Renewal>> renewal = Renew(have, options_.policy, loop_.WallNow());
  // A new authority is strange to everybody: whom they trust stays beside it, and what we serve goes on being served.
  if (!absent && renewal.ok() && renewal->has_value() && (*renewal)->material.ca_key != have.ca_key) {
    renewal = Renew({absl::StrCat(have.ca_bundle, "\n", served_.ca_bundle), have.ca_key,
                     served_.cert.empty() ? have.cert : served_.cert, served_.cert.empty() ? have.key : served_.key},
                    options_.policy, loop_.WallNow());
  }
  if (!renewal.ok()) return Problem(renewal.status());
  if (absent && !renewal->has_value()) *renewal = Renewal{have, "the Secret was deleted"};
  if (renewal->has_value()) return Write(!absent, std::move(secret), **std::move(renewal));
  Adopt(have);
}

void CertificateKeeper::Write(bool exists, json secret, Renewal renewal) {
  if (exists) {
    MapIn(secret, "metadata").erase("managedFields");
  } else {
    secret["metadata"] = {{"name", options_.secret}, {"namespace", options_.ns}};
    secret["type"] = "Opaque";
  }
  secret["apiVersion"] = "v1";
  secret["kind"] = "Secret";
  Put(secret, renewal.material);
  ApiRequest request;
  request.verb = exists ? "update" : "create";
  request.resource = "secrets";
  request.method = exists ? Method::kPut : Method::kPost;
  request.path = exists ? absl::StrCat(Collection(), "/", options_.secret) : Collection();
  request.content_type = kJson;
  request.body = secret.dump(-1, ' ', false, json::error_handler_t::replace);
  request.urgency = Urgency::kWrite;
  request_ =
      client_.Do(std::move(request), [this, renewal = std::move(renewal)](const absl::StatusOr<ApiResponse>& response) {
        request_ = 0;
        OnWritten(renewal, response.status());
      });
}

void CertificateKeeper::OnWritten(const Renewal& renewal, const absl::Status& status) {
  // Another replica was first: what it wrote is as good.
  if (absl::IsAborted(status) || absl::IsAlreadyExists(status) || absl::IsNotFound(status)) {
    return LookAfter(kAfterConflict);
  }
  if (!status.ok()) return Problem(status);
  if (hooks_.on_renewed) hooks_.on_renewed(renewal.why);
  Adopt(renewal.material);
}

void CertificateKeeper::Adopt(const TlsMaterial& material) {
  if (material != served_) {
    if (const absl::Status status = WriteServingFiles(options_.folder, material); !status.ok()) return Problem(status);
    served_ = material;
    const absl::StatusOr<Certificate> authority = ReadCertificate(material.ca_bundle);
    const absl::StatusOr<Certificate> serving = ReadCertificate(material.cert);
    if (hooks_.on_expiry && authority.ok()) hooks_.on_expiry("ca", authority->until);
    if (hooks_.on_expiry && serving.ok()) hooks_.on_expiry("serving", serving->until);
    publisher_.Publish(material.ca_bundle);
  }
  Problem(absl::OkStatus());
  if (!std::exchange(ready_, true) && hooks_.on_ready) hooks_.on_ready();
}

// Every look ends here or with another one soon.
void CertificateKeeper::Problem(const absl::Status& status) {
  LookAfter(status.ok() ? options_.look : options_.retry);
  const absl::Status problem = Annotate(status, absl::StrCat("Secret ", options_.ns, "/", options_.secret));
  if (problem == problem_) return;
  problem_ = problem;
  if (hooks_.on_problem) hooks_.on_problem(problem);
}

}  // namespace berth::kube

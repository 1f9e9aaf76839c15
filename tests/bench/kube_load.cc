// SPDX-License-Identifier: Apache-2.0
// What `tools/bench kube-allocate` loads an API server with, by the controller's own HTTP client and settings.
//
//   kube_load KUBECONFIG create N   creates N Services; prints seconds until all are there, and until all have an
//                                   address, as a watch tells
//   kube_load KUBECONFIG floor N    the same, and writes to each at once what a controller has to, over connections of
//                                   its own as a controller would: one patch of its status, one Event. No decisions,
//                                   not even a watch: what no controller can do without
//   kube_load KUBECONFIG delete N   deletes them; prints seconds until all are gone
//   kube_load KUBECONFIG floor-delete N   the same, and takes the finalizer off each as a controller has to
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/real_event_loop.h"
#include "common/obs/log.h"
#include "controller/kube/client/curl_client.h"
#include "controller/kube/client/reflector.h"
#include "controller/kube/objects/read_field.h"
#include "controller/kube/objects/service_object.h"

namespace berth::kube {
namespace {

using nlohmann::json;

class Load final : public Reflector::Observer {
 public:
  Load(RealEventLoop& loop, ApiClient& client, ApiClient& controller, std::string what, int count)
      : loop_(loop),
        client_(client),
        controller_(controller),
        what_(std::move(what)),
        count_(count),
        services_(loop, client,
                  {.resource = "services", .path = "/api/v1/namespaces/bench/services", .random = [] { return 0.5; }},
                  *this) {}

  void Start() { services_.Start(); }
  bool failed() const { return failed_; }

  void OnListed() override {
    began_ = loop_.Now();
    for (int i = 0; i < count_; ++i) deletes() ? Delete(i) : Create(i);
  }
  void OnObject(const json& object) override { OnEvent(Reflector::Change::kAdded, object); }
  void OnVanished(const model::ObjectId&) override {}
  void OnProblem(const absl::Status& status) override {
    if (!status.ok()) Fail(status);
  }
  void OnEvent(Reflector::Change change, const json& object) override {
    const std::string name = IdOf(object).name;
    if (change == Reflector::Change::kDeleted) {
      if (++gone_ == count_ && deletes()) End();
    } else if (what_ == "floor-delete") {
      if (!StringAt(MapAt(object, "metadata"), "deletionTimestamp").empty()) LetGo(name);
    } else if (!ListAt(MapAt(MapAt(object, "status"), "loadBalancer"), "ingress").empty()) {
      assigned_.insert(name);
      if (!deletes() && assigned_.size() == static_cast<std::size_t>(count_)) End();
    }
  }

 private:
  bool deletes() const { return what_ != "create" && what_ != "floor"; }
  static std::string Name(int i) { return absl::StrCat("web-", i); }
  static std::string Path(int i) { return absl::StrCat("/api/v1/namespaces/bench/services/", Name(i)); }

  void Create(int i) {
    const json body = {{"apiVersion", "v1"},
                       {"kind", "Service"},
                       {"metadata",
                        {{"name", Name(i)},
                         {"annotations", {{"lb.kubesphere.io/v1alpha1", what_ == "floor" ? "nobody" : "openelb"}}}}},
                       {"spec",
                        {{"type", "LoadBalancer"},
                         {"allocateLoadBalancerNodePorts", false},
                         {"selector", {{"app", Name(i)}}},
                         {"ports", {{{"port", 80}, {"protocol", "TCP"}}}}}}};
    Send(client_,
         {.verb = "create",
          .resource = "services",
          .method = Method::kPost,
          .path = "/api/v1/namespaces/bench/services",
          .content_type = kJson,
          .body = body.dump()},
         [this, i](const ApiResponse& response) {
           if (++created_ == count_) created_in_ = loop_.Now() - began_;
           if (what_ == "floor") Patch(i, json::parse(response.body));
         });
  }

  void Patch(int i, const json& object) {
    model::ServiceWrite write;
    write.id = {"bench", Name(i)};
    write.revision = StringAt(MapAt(object, "metadata"), "resourceVersion");
    write.managed_by = "annotation";
    model::Allocation a;
    a.address = *IpAddr::Parse(absl::StrCat("10.", i / 65536, ".", i / 256 % 256, ".", i % 256));
    a.pool = "wide";
    a.interface = "eth0";
    write.allocations = {a};
    Send(controller_,
         {.verb = "patch",
          .resource = "services",
          .method = Method::kPatch,
          .path = Path(i) + "/status",
          .content_type = kMergePatch,
          .body = ServicePatch(write, ServiceRest(), loop_.WallNow()),
          .urgency = Urgency::kWrite},
         [this, i, uid = StringAt(MapAt(object, "metadata"), "uid")](const ApiResponse&) { Tell(i, uid); });
  }

  void Tell(int i, const std::string& uid) {
    const std::string now = Rfc3339(loop_.WallNow());
    const json body = {
        {"metadata",
         {{"name", absl::StrCat(Name(i), ".", absl::ToUnixNanos(loop_.WallNow()))}, {"namespace", "bench"}}},
        {"involvedObject",
         {{"apiVersion", "v1"}, {"kind", "Service"}, {"name", Name(i)}, {"namespace", "bench"}, {"uid", uid}}},
        {"reason", "AssignIP"},
        {"message", "success to assign ip: 10.0.0.1"},
        {"type", "Normal"},
        {"count", 1},
        {"firstTimestamp", now},
        {"lastTimestamp", now},
        {"source", {{"component", "berth-controller"}}},
        {"reportingComponent", "berth.io/controller"},
        {"reportingInstance", "bench"}};
    Send(controller_,
         {.verb = "create",
          .resource = "events",
          .method = Method::kPost,
          .path = "/api/v1/namespaces/bench/events",
          .content_type = kJson,
          .body = body.dump(),
          .urgency = Urgency::kEvent},
         [](const ApiResponse&) {});
  }

  void Delete(int i) {
    Send(client_, {.verb = "delete", .resource = "services", .method = Method::kDelete, .path = Path(i)},
         [](const ApiResponse&) {});
  }

  void LetGo(const std::string& name) {
    Send(controller_,
         {.verb = "patch",
          .resource = "services",
          .method = Method::kPatch,
          .path = absl::StrCat("/api/v1/namespaces/bench/services/", name, "/status"),
          .content_type = kMergePatch,
          .body = R"({"metadata":{"finalizers":null}})",
          .urgency = Urgency::kWrite},
         [](const ApiResponse&) {});
  }

  void Send(ApiClient& client, ApiRequest request, std::function<void(const ApiResponse&)> then) {
    request.timeout = absl::Minutes(2);
    client.Do(std::move(request), [this, then = std::move(then)](const absl::StatusOr<ApiResponse>& response) {
      response.ok() ? then(*response) : Fail(response.status());
    });
  }

  void End() {
    std::printf("%.3f %.3f\n", absl::ToDoubleSeconds(created_in_), absl::ToDoubleSeconds(loop_.Now() - began_));
    loop_.Stop();
  }

  void Fail(const absl::Status& status) {
    std::fprintf(stderr, "kube_load: %s\n", std::string(status.message()).c_str());
    failed_ = true;
    loop_.Stop();
  }

  RealEventLoop& loop_;
  ApiClient& client_;
  ApiClient& controller_;
  const std::string what_;
  const int count_;
  Reflector services_;
  absl::Time began_;
  absl::Duration created_in_;
  int created_ = 0, gone_ = 0;
  std::set<std::string> assigned_;
  bool failed_ = false;
};

int Run(const std::string& kubeconfig, const std::string& what, int count) {
  LogInit(LogLevel::kWarn, LogFormat::kText);
  auto loop = RealEventLoop::Create();
  auto config = FindKubeConfig(kubeconfig);
  if (!loop.ok() || !config.ok()) return 1;
  CurlClient::Options options;
  options.user_agent = "kube_load";
  auto client = CurlClient::Create(**loop, *config, options);
  auto controller = CurlClient::Create(**loop, *config, options);
  if (!client.ok() || !controller.ok()) return 1;
  Load load(**loop, **client, **controller, what, count);
  load.Start();
  (*loop)->Run();
  return load.failed() ? 1 : 0;
}

}  // namespace
}  // namespace berth::kube

int main(int argc, char** argv) {
  int count = 0;
  const std::string number = argc == 4 ? argv[3] : "";
  std::from_chars(number.data(), number.data() + number.size(), count);
  if (count <= 0) {
    std::fprintf(stderr, "usage: kube_load KUBECONFIG create|floor|delete|floor-delete N\n");
    return 2;
  }
  return berth::kube::Run(argv[1], argv[2], count);
}

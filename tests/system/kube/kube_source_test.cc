// SPDX-License-Identifier: Apache-2.0
// A controller on an API server: what becomes of Services and Eips there.
#include <catch2/catch.hpp>

#include "tests/system/kube/kube_world.h"

namespace berth::system {
namespace {

constexpr char kPool[] = "192.168.50.50-192.168.50.60";

struct Started : KubeWorld {
  explicit Started(const std::string& range = kPool) {
    AddEip("pool", range);
    StartController("one");
    Run(absl::Seconds(5));
  }
  ~Started() { CHECK(violations.empty()); }
  bool Gets(const std::string& service, const std::string& address) {
    return RunUntil([&] { return IngressOf(service) == address; });
  }
};

TEST_CASE("a Service gets its address by one patch, with finalizer, label, condition and one Event", "[system]") {
  Started w;
  w.Run(absl::Seconds(3));
  const std::uint64_t before = w.Writes();
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(5));
  CHECK(w.Writes() - before == 3);  // the patch, the Event, and the Eip's status
  const json web = w.Get("services", "web");
  CHECK(web["metadata"]["finalizers"] == json{"finalizer.lb.kubesphere.io/v1alpha1"});
  CHECK(web["metadata"]["labels"]["eip.openelb.kubesphere.io/v1alpha2"] == "pool");
  CHECK(w.ReasonOf("web") == "Assigned");
  CHECK(w.EventsOf("web") == std::vector<std::string>{"AssignIP: success to assign ip: 192.168.50.50 (1)"});
}

TEST_CASE("a cluster in which nothing happens sees no write but the Lease's", "[system]") {
  Started w;
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(5));
  const std::uint64_t before = w.Writes();
  w.Run(absl::Minutes(15));  // watches end and begin anew meanwhile
  CHECK(w.Writes() == before);
}

TEST_CASE("a restart writes nothing and changes no address", "[system]") {
  Started w;
  for (int i = 0; i < 8; ++i) w.AddService("web-" + std::to_string(i));
  REQUIRE(w.RunUntil([&] { return w.Assigned("web-7"); }));
  w.Run(absl::Seconds(3));
  const std::string address = w.IngressOf("web-7");
  w.controllers["one"]->source.Resign([] {});
  w.Run(absl::Seconds(2));
  w.KillController("one");
  const std::uint64_t before = w.Writes();
  w.StartController("two");
  w.Run(absl::Seconds(10));
  CHECK(w.Writes() == before);
  CHECK(w.IngressOf("web-7") == address);
  w.AddService("more");
  CHECK(w.Gets("more", "192.168.50.58"));
}

TEST_CASE("a leader that resigns keeps the Lease until all of its writes have ended, not those of Services alone",
          "[system]") {
  Started w;
  bool sent = false, landed = false;
  w.server.faults = [&](const kube::FakeApiServer::Seen& seen) {
    if (seen.resource != "eips/status") return kube::FakeApiServer::Fault{};
    sent = true;
    return kube::FakeApiServer::Fault{.delay = absl::Milliseconds(400)};
  };
  w.server.on_answered = [&](const kube::FakeApiServer::Seen& seen, int) {
    landed = landed || seen.resource == "eips/status";
  };
  w.AddService("web");
  REQUIRE(w.RunUntil([&] { return sent && w.Assigned("web"); }));
  REQUIRE_FALSE(landed);
  bool done = false;
  w.controllers["one"]->source.Resign([&] { done = true; });
  const auto released = [&] {
    const kube::ObjectPtr lease = w.server.store().Find("leases", {"openelb-system", "berth-controller"});
    return (*lease)["spec"]["holderIdentity"] == "";
  };
  CHECK(w.RunUntil(released, absl::Seconds(1)));
  CHECK(landed);
  CHECK(w.RunUntil([&] { return done; }, absl::Seconds(1)));
}

TEST_CASE("an Eip has its finalizer and status from the beginning, and usage follows", "[system]") {
  Started w;
  json eip = w.Get("eips", "pool");
  CHECK(eip["metadata"]["finalizers"] == json{"finalizer.ipam.kubesphere.io/v1alpha1"});
  CHECK(eip["status"]["poolSize"] == 11);
  CHECK(eip["status"]["usage"] == 0);
  CHECK(eip["status"]["firstIP"] == "192.168.50.50");
  w.AddService("web");
  CHECK(w.RunUntil([&] { return w.Get("eips", "pool")["status"]["usage"] == 1; }));
  CHECK(w.Get("eips", "pool")["status"]["used"] == json{{"192.168.50.50", "default/web"}});
  w.Delete("services", "web");
  CHECK(w.RunUntil([&] { return w.Get("eips", "pool")["status"]["usage"] == 0; }));
  CHECK_FALSE(w.Get("eips", "pool")["status"].contains("used"));
}

TEST_CASE("a deleted Service goes at once, and its address is free within a second", "[system]") {
  Started w("192.168.50.50");
  w.AddService("first");
  REQUIRE(w.Gets("first", "192.168.50.50"));
  w.AddService("second");
  REQUIRE(w.RunUntil([&] { return w.ReasonOf("second") == "PoolExhausted"; }));
  w.Delete("services", "first");
  CHECK(w.RunUntil([&] { return w.IngressOf("second") == "192.168.50.50"; }, absl::Seconds(1)));
  CHECK(w.Get("services", "first").is_null());
}

TEST_CASE("a Service that does not fit says why in a condition and one Event, and gets its address once the pool grows",
          "[system]") {
  Started w("192.168.50.50");
  w.AddService("first");
  REQUIRE(w.Gets("first", "192.168.50.50"));
  w.AddService("second");
  REQUIRE(w.RunUntil([&] { return w.ReasonOf("second") == "PoolExhausted"; }));
  w.Run(absl::Minutes(2));
  CHECK(w.EventsOf("second").size() == 1);
  CHECK_FALSE(w.Get("services", "second")["metadata"].contains("finalizers"));
  w.Edit("eips", "pool", {{"spec", {{"address", "192.168.50.50-192.168.50.51"}}}});
  CHECK(w.Gets("second", "192.168.50.51"));
  CHECK(w.ReasonOf("second") == "Assigned");
}

TEST_CASE("a Service that is none of ours any more is let go of whole", "[system]") {
  Started w;
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  SECTION("it opts out") {
    w.Edit("services", "web", {{"metadata", {{"annotations", {{"lb.kubesphere.io/v1alpha1", nullptr}}}}}});
  }
  SECTION("all annotations vanish, our record among them") {
    w.Edit("services", "web", {{"metadata", {{"annotations", nullptr}}}});
  }
  SECTION("it is no LoadBalancer any more") { w.Edit("services", "web", {{"spec", {{"type", "ClusterIP"}}}}); }
  SECTION("it is somebody else's by class") {
    w.Edit("services", "web", {{"spec", {{"loadBalancerClass", "example.com/lb"}}}});
  }
  CHECK(w.RunUntil([&] { return !w.Assigned("web"); }));
  w.Run(absl::Seconds(3));
  const json web = w.Get("services", "web");
  CHECK_FALSE(web["metadata"].contains("finalizers"));
  CHECK(kube::MapAt(web["metadata"], "labels").empty());
  CHECK_FALSE(kube::MapAt(web["metadata"], "annotations").contains("berth.io/allocations"));
  CHECK(kube::ListAt(web["status"], "conditions").empty());
  CHECK(w.Get("eips", "pool")["status"]["usage"] == 0);
}

TEST_CASE("a Service that is no LoadBalancer any more, its ingress emptied with that, is let go of and not restored",
          "[system]") {
  Started w;
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(1));
  w.Apply({{"apiVersion", "v1"},
           {"kind", "Service"},
           {"metadata", {{"name", "web"}, {"namespace", "default"}}},
           {"spec", {{"type", "ClusterIP"}}},
           {"status", {{"loadBalancer", {{"ingress", nullptr}}}}}});
  w.Run(absl::Seconds(3));
  CHECK_FALSE(w.Assigned("web"));
  CHECK_FALSE(w.Get("services", "web")["metadata"].contains("finalizers"));
  for (const std::string& event : w.EventsOf("web")) CHECK(event.find("restored") == std::string::npos);
}

TEST_CASE("a Service that waited and opts out keeps nothing of ours", "[system]") {
  Started w("192.168.50.50");
  w.AddService("first");
  REQUIRE(w.Gets("first", "192.168.50.50"));
  w.AddService("second");
  REQUIRE(w.RunUntil([&] { return w.ReasonOf("second") == "PoolExhausted"; }));
  w.Edit("services", "second", {{"metadata", {{"annotations", {{"lb.kubesphere.io/v1alpha1", nullptr}}}}}});
  CHECK(w.RunUntil([&] { return w.ReasonOf("second").empty(); }));
}

TEST_CASE("an ingress that somebody empties is restored, with an Event", "[system]") {
  Started w;
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(1));
  w.Edit("services", "web", {{"status", {{"loadBalancer", {{"ingress", nullptr}}}}}}, true);
  CHECK(w.IngressOf("web").empty());
  CHECK(w.Gets("web", "192.168.50.50"));
  CHECK(w.RunUntil([&] { return w.EventsOf("web").size() == 2; }));
}

TEST_CASE("two Services given one address by hand: one keeps it, and both are told", "[system]") {
  KubeWorld w;
  w.AddEip("pool", kPool);
  for (const std::string name : {"web-a", "web-b"}) {
    json service = KubeWorld::MakeService(name);
    service["metadata"]["finalizers"] = {"finalizer.lb.kubesphere.io/v1alpha1"};
    service["metadata"]["labels"] = {{"eip.openelb.kubesphere.io/v1alpha2", "pool"}};
    service["status"]["loadBalancer"]["ingress"] = {{{"ip", "192.168.50.55"}}};
    w.Apply(service);
  }
  w.StartController("one");
  CHECK(w.RunUntil([&] { return w.IngressOf("web-a") != w.IngressOf("web-b") && w.Assigned("web-b"); }));
  w.Run(absl::Seconds(2));
  CHECK(w.IngressOf("web-a") == "192.168.50.55");
  CHECK(w.Assigned("web-b"));
  CHECK(w.EventsOf("web-a") ==
        std::vector<std::string>{"UpdateServiceStatus: 192.168.50.55 of this Service stood in the ingress of "
                                 "default/web-b too, which did not ask for it: that is given another (1)"});
  REQUIRE(w.EventsOf("web-b").size() >= 2);
  CHECK(w.EventsOf("web-b").front().rfind("AssignIPFailed: tcp/80 on 192.168.50.55 is in use by default/web-a", 0) ==
        0);
}

TEST_CASE("Services and Eips that OpenELB left are taken over with their addresses", "[system]") {
  KubeWorld w;
  w.AddEip("pool", kPool);
  json service = KubeWorld::MakeService("web");
  service["metadata"]["finalizers"] = {"finalizer.lb.kubesphere.io/v1alpha1"};
  service["metadata"]["labels"] = {{"eip.openelb.kubesphere.io/v1alpha2", "pool"}};
  service["status"]["loadBalancer"]["ingress"] = {{{"ip", "192.168.50.57"}, {"ipMode", "VIP"}}};
  w.Apply(service);
  w.StartController("one");
  w.Run(absl::Seconds(10));
  CHECK(w.IngressOf("web") == "192.168.50.57");
  CHECK(w.Get("eips", "pool")["status"]["used"] == json{{"192.168.50.57", "default/web"}});
  w.Delete("services", "web");
  CHECK(w.RunUntil([&] { return w.Get("services", "web").is_null(); }));
}

TEST_CASE("T090 an Eip in use waits for its users and names them, or releases them when forced", "[system]") {
  Started w;
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(2));
  w.Delete("eips", "pool");
  w.Run(absl::Seconds(5));
  REQUIRE_FALSE(w.Get("eips", "pool").is_null());
  CHECK(w.Get("eips", "pool")["status"]["message"].get<std::string>().find("default/web") != std::string::npos);
  CHECK(w.IngressOf("web") == "192.168.50.50");
  SECTION("the user goes") { w.Delete("services", "web"); }
  SECTION("it is forced") {
    w.Edit("eips", "pool", {{"metadata", {{"annotations", {{"berth.io/force-delete", "true"}}}}}});
  }
  CHECK(w.RunUntil([&] { return w.Get("eips", "pool").is_null(); }));
  CHECK(w.RunUntil([&] { return !w.Assigned("web"); }));
}

TEST_CASE("T090 an Eip that is deleted as soon as somebody has an address of it waits all the same", "[system]") {
  Started w;
  w.AddEip("fresh", "10.0.0.1");
  w.Run(absl::Milliseconds(20));
  json service = KubeWorld::MakeService("web");
  service["metadata"]["annotations"]["eip.openelb.kubesphere.io/v1alpha2"] = "fresh";
  w.Apply(service);
  REQUIRE(w.RunUntil([&] { return w.IngressOf("web") == "10.0.0.1"; }, absl::Milliseconds(500)));
  w.Delete("eips", "fresh");
  w.Run(absl::Seconds(5));
  REQUIRE_FALSE(w.Get("eips", "fresh").is_null());
  w.Delete("services", "web");
  CHECK(w.RunUntil([&] { return w.Get("eips", "fresh").is_null(); }));
}

TEST_CASE("label and finalizer that somebody takes off come back, and the address stays", "[system]") {
  Started w;
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(2));
  const json before = w.Get("services", "web")["metadata"];
  SECTION("the label") { w.Edit("services", "web", {{"metadata", {{"labels", nullptr}}}}); }
  SECTION("the finalizer") { w.Edit("services", "web", {{"metadata", {{"finalizers", nullptr}}}}); }
  w.Run(absl::Seconds(2));
  const json after = w.Get("services", "web")["metadata"];
  CHECK(after["labels"] == before["labels"]);
  CHECK(after["finalizers"] == before["finalizers"]);
  CHECK(w.IngressOf("web") == "192.168.50.50");
  const std::uint64_t writes = w.Writes();
  w.Run(absl::Seconds(10));
  CHECK(w.Writes() == writes);
}

TEST_CASE("what a watch has told to be gone is not brought back by the answer to a write", "[system]") {
  Started w;
  w.server.SetAnswerLag(absl::Milliseconds(50));
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(2));
  SECTION("one that had an address") {
    w.Delete("services", "web");
    w.Run(absl::Seconds(5));
    CHECK(w.Leader().runner.core().services().all().empty());
  }
  SECTION("and its successor of the same name is served") {
    w.Delete("services", "web");
    REQUIRE(w.RunUntil([&] { return w.Get("services", "web").is_null(); }));
    w.AddService("web");
    w.Run(absl::Seconds(5));
    CHECK(w.IngressOf("web") == "192.168.50.50");
  }
}

TEST_CASE("an address is free once its Service is seen to be gone, however late the write is answered that let it go",
          "[system]") {
  Started w("192.168.50.50");
  w.AddService("first");
  REQUIRE(w.Gets("first", "192.168.50.50"));
  w.AddService("second");
  w.Run(absl::Seconds(2));
  w.server.SetAnswerLag(absl::Seconds(3));
  w.Delete("services", "first");
  REQUIRE(w.RunUntil([&] { return w.Get("services", "first").is_null(); }));
  CHECK(w.RunUntil([&] { return w.IngressOf("second") == "192.168.50.50"; }, absl::Seconds(1)));
  w.server.SetAnswerLag(absl::ZeroDuration());
  SECTION("and that answer changes nothing") {}
  SECTION("nor does it for a successor of the same name") { w.AddService("first"); }
  w.Run(absl::Seconds(5));
  CHECK(w.IngressOf("second") == "192.168.50.50");
  CHECK(w.IngressOf("first") == "");
  CHECK(w.Leader().runner.core().services().all().size() == (w.Get("services", "first").is_null() ? 1 : 2));
}

TEST_CASE("T095 Eips whose finalizers were stripped vanish and come back, and no Service moves", "[system]") {
  Started w;
  w.AddService("web");
  REQUIRE(w.Gets("web", "192.168.50.50"));
  w.Run(absl::Seconds(2));
  w.Edit("eips", "pool", {{"metadata", {{"finalizers", nullptr}}}});
  w.server.store().RemoveType("eips");
  w.Run(absl::Seconds(1));
  // The leader puts its finalizer back as soon as it sees it gone: strip it once more, as a script would.
  if (!w.Get("eips", "pool").is_null()) w.Edit("eips", "pool", {{"metadata", {{"finalizers", nullptr}}}});
  w.Run(absl::Minutes(1));
  CHECK(w.IngressOf("web") == "192.168.50.50");
  w.server.store().AddType({"network.kubesphere.io", "v1alpha2", "eips", "Eip", false, true, true});
  w.AddEip("pool", kPool);
  w.Run(absl::Minutes(1));
  CHECK(w.IngressOf("web") == "192.168.50.50");
  CHECK(w.Get("eips", "pool")["status"]["used"] == json{{"192.168.50.50", "default/web"}});
}

TEST_CASE("a hundred Services created in one apply have a hundred addresses", "[system]") {
  Started w("192.168.60.0/24");
  for (int i = 0; i < 100; ++i) w.AddService("web-" + std::to_string(i));
  CHECK(w.RunUntil([&] {
    for (int i = 0; i < 100; ++i) {
      if (!w.Assigned("web-" + std::to_string(i))) return false;
    }
    return true;
  }));
}

TEST_CASE("two Services share an address on request, and not with ports that clash", "[system]") {
  Started w;
  w.AddService("shared-a");
  REQUIRE(w.Gets("shared-a", "192.168.50.50"));
  json other = KubeWorld::MakeService("shared-b");
  other["metadata"]["annotations"]["eip.openelb.kubesphere.io/v1alpha1"] = "192.168.50.50";
  w.Apply(other);
  CHECK(w.RunUntil([&] { return w.ReasonOf("shared-b") == "PortConflict"; }));
  w.Edit("services", "shared-b", {{"spec", {{"ports", {{{"port", 443}, {"protocol", "TCP"}}}}}}});
  CHECK(w.Gets("shared-b", "192.168.50.50"));
}

TEST_CASE("a namespace that goes takes its Services along", "[system]") {
  Started w;
  json service = KubeWorld::MakeService("web");
  service["metadata"]["namespace"] = "shop";
  w.Apply(service);
  REQUIRE(w.RunUntil([&] { return w.Get("eips", "pool")["status"]["usage"] == 1; }));
  w.server.store().Delete("services", {"shop", "web"});
  w.Delete("namespaces", "shop");
  CHECK(w.RunUntil([&] { return w.Get("namespaces", "shop").is_null(); }));
  CHECK(w.RunUntil([&] { return w.Get("eips", "pool")["status"]["usage"] == 0; }));
}

}  // namespace
}  // namespace berth::system

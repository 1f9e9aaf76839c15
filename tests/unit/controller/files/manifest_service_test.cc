// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/controller/files/manifest_testing.h"

namespace berth::files {

using model::EndpointSlice;
using model::IpFamilyPolicy;
using model::Service;

TEST_CASE("a Service has the API server's defaults where a manifest says nothing", "[unit]") {
  const Service service = Only<Service>(Web("{type: LoadBalancer, ports: [{port: 80}]}"));
  Service wanted;
  wanted.id = {"default", "web"};
  wanted.load_balancer = true;
  wanted.ip_families = {Family::kIpv4};
  wanted.ports = {{"", "TCP", 80}};
  CHECK(service == wanted);
}

TEST_CASE("every field of a Service is read, and of the annotations those that matter", "[unit]") {
  const Service service = Only<Service>(R"(
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  creationTimestamp: "2026-01-02T03:04:05Z"
  annotations:
    lb.kubesphere.io/v1alpha1: openelb
    eip.openelb.kubesphere.io/v1alpha2: eip-pool
    berth.io/sharing-key: key
    example.com/other: x
spec:
  type: LoadBalancer
  loadBalancerClass: berth.io/lb
  loadBalancerIP: 10.0.0.7
  clusterIP: 10.96.0.1
  externalTrafficPolicy: Local
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv6, IPv4]
  selector: {app: web}
  ports:
    - {name: http, port: 80, targetPort: http}
    - {name: dns, port: 53, protocol: UDP}
    - {name: dns-tcp, port: 53}
status:
  loadBalancer: {}
)");
  Service wanted;
  wanted.id = {"shop", "web"};
  wanted.created = absl::FromUnixSeconds(1767323045);
  wanted.load_balancer = true;
  wanted.load_balancer_class = "berth.io/lb";
  wanted.load_balancer_ip = "10.0.0.7";
  wanted.annotations = {{model::kOptInAnnotation, "openelb"},
                        {model::kPoolAnnotation, "eip-pool"},
                        {model::kSharingKeyAnnotation, "key"}};
  wanted.ip_families = {Family::kIpv6, Family::kIpv4};
  wanted.ip_family_policy = IpFamilyPolicy::kRequireDualStack;
  wanted.ports = {{"http", "TCP", 80}, {"dns", "UDP", 53}, {"dns-tcp", "TCP", 53}};
  wanted.traffic_policy = model::TrafficPolicy::kLocal;
  wanted.selector = {{"app", "web"}};
  CHECK(service == wanted);
}

TEST_CASE("T022 labels, foreign annotations and node ports of a Service are no change to Berth", "[unit]") {
  const std::string head = "apiVersion: v1\nkind: Service\nmetadata: {name: web, ";
  const Service plain =
      Only<Service>(head + "labels: {a: b}}\nspec: {type: LoadBalancer, ports: [{port: 80, nodePort: 30080}]}\n");
  const Service edited =
      Only<Service>(head + "labels: {a: c, d: e}, annotations: {example.com/x: y}}\n" +
                    "spec: {type: LoadBalancer, ports: [{port: 80, nodePort: 30081}], sessionAffinity: ClientIP}\n");
  CHECK(edited == plain);
}

TEST_CASE("only type LoadBalancer is a load balancer, and only clusterIP None is headless", "[unit]") {
  CHECK_FALSE(Only<Service>(Web("{}")).load_balancer);
  CHECK_FALSE(Only<Service>(Web("{type: NodePort, ports: [{port: 1}]}")).load_balancer);
  CHECK_FALSE(Only<Service>(Web("{type: ExternalName, externalName: x}")).load_balancer);
  CHECK(Only<Service>(Web("{clusterIP: None}")).headless);
  CHECK_FALSE(Only<Service>(Web("{clusterIP: 10.96.0.1}")).headless);
}

TEST_CASE("families and their policy of a Service fill each other in", "[unit]") {
  using Families = std::vector<Family>;
  const Family v4 = Family::kIpv4, v6 = Family::kIpv6;
  const auto [spec, families, policy] = GENERATE_COPY(table<std::string, Families, IpFamilyPolicy>({
      {"{}", {v4}, IpFamilyPolicy::kSingleStack},
      {"{ipFamilies: [IPv6]}", {v6}, IpFamilyPolicy::kSingleStack},
      {"{ipFamilies: [IPv6, IPv4]}", {v6, v4}, IpFamilyPolicy::kRequireDualStack},
      {"{ipFamilyPolicy: SingleStack}", {v4}, IpFamilyPolicy::kSingleStack},
      {"{ipFamilyPolicy: PreferDualStack}", {v4, v6}, IpFamilyPolicy::kPreferDualStack},
      {"{ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]}", {v6, v4}, IpFamilyPolicy::kRequireDualStack},
      {"{ipFamilies: [IPv4, IPv6], ipFamilyPolicy: PreferDualStack}", {v4, v6}, IpFamilyPolicy::kPreferDualStack},
  }));
  const Service service = Only<Service>(Web(spec));
  CAPTURE(spec);
  CHECK(service.ip_families == families);
  CHECK(service.ip_family_policy == policy);
}

TEST_CASE("a wrong field of a Service is named with file, line and cure", "[unit]") {
  const auto [spec, problem] = GENERATE(table<std::string, std::string>({
      {"{type: Loadbalancer}",
       "spec.type: \"Loadbalancer\" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName"},
      {"{type: LoadBalancer}", "spec.ports: is missing, a Service of type LoadBalancer needs a port"},
      {"{ports: {port: 80}}", "spec.ports: must be a list, not a map"},
      {"{ports: [80]}", "spec.ports[0]: must be a map, not a number"},
      {"{ports: [{name: a}]}", "spec.ports[0]: has no port"},
      {"{ports: [{port: 0}]}", "spec.ports[0].port: 0 is not within 1 to 65535"},
      {"{ports: [{port: 65536}]}", "spec.ports[0].port: 65536 is not within 1 to 65535"},
      {"{ports: [{port: -1}]}", "spec.ports[0].port: -1 is not within 1 to 65535"},
      {"{ports: [{port: \"80\"}]}", "spec.ports[0].port: must be a whole number, not a string \"80\""},
      {"{ports: [{port: 80}, {port: 80}]}", "spec.ports[1]: TCP port 80 is listed twice"},
      {"{ports: [{port: 80, protocol: tcp}]}", "spec.ports[0].protocol: \"tcp\" is not one of TCP, UDP, SCTP"},
      {"{externalTrafficPolicy: local}", "spec.externalTrafficPolicy: \"local\" is not one of Cluster, Local"},
      {"{ipFamilies: [IPv5]}", "spec.ipFamilies[0]: \"IPv5\" is not one of IPv4, IPv6"},
      {"{ipFamilies: [IPv4, IPv4]}", "spec.ipFamilies: must name each of IPv4 and IPv6 at most once"},
      {"{ipFamilies: [IPv4, IPv6, IPv4]}", "spec.ipFamilies: must name each of IPv4 and IPv6 at most once"},
      {"{ipFamilies: IPv4}", "spec.ipFamilies: must be a list, not a string \"IPv4\""},
      {"{ipFamilies: [IPv4, IPv6], ipFamilyPolicy: SingleStack}",
       "spec.ipFamilies: has two families, which ipFamilyPolicy SingleStack does not allow"},
      {"{ipFamilyPolicy: Dual}",
       "spec.ipFamilyPolicy: \"Dual\" is not one of SingleStack, PreferDualStack, RequireDualStack"},
      {"{loadBalancerIP: 10}", "spec.loadBalancerIP: must be a string, not a number \"10\"; put it in quotes"},
      {"{loadBalancerClass: true}",
       "spec.loadBalancerClass: must be a string, not a boolean \"true\"; put it in quotes"},
      {"{selector: {app: 1}}", "spec.selector.app: must be a string, not a number \"1\"; put it in quotes"},
      {"{selector: {a/b: 1}}", "spec.selector[\"a/b\"]: must be a string, not a number \"1\"; put it in quotes"},
      {"{selector: {a: b, a: c}}", "spec.selector: has the key \"a\" twice, remove one"},
  }));
  CHECK(OnlyProblem(Web(spec)) == "f.yaml:4: Service \"default/web\": " + problem);
}

TEST_CASE("wrong metadata of a Service is named", "[unit]") {
  const auto [metadata, problem] = GENERATE(table<std::string, std::string>({
      {"{}", "Service: metadata.name: is missing"},
      {"{generateName: web-}", "Service: metadata.name: is missing"},
      {"{name: 7}", "Service: metadata.name: must be a string, not a number \"7\"; put it in quotes"},
      {"{name: Web}", "Service: metadata.name: \"Web\" is not a name: lower-case letters, digits, - and . only"},
      {"{name: -web}", "Service: metadata.name: \"-web\" is not a name: lower-case letters, digits, - and . only"},
      {"{name: web.}", "Service: metadata.name: \"web.\" is not a name: lower-case letters, digits, - and . only"},
      {"{name: a..b}", "Service: metadata.name: \"a..b\" is not a name: lower-case letters, digits, - and . only"},
      {"{name: \"a/b\"}", "Service: metadata.name: \"a/b\" is not a name: lower-case letters, digits, - and . only"},
      {"{name: web, namespace: A}",
       "Service: metadata.namespace: \"A\" is not a name: lower-case letters, digits, - and . only"},
      {"[]", "Service: metadata: must be a map, not a list"},
      {"{name: web, creationTimestamp: yesterday}",
       "Service \"default/web\": metadata.creationTimestamp: \"yesterday\" is not a time such as 2026-01-02T03:04:05Z"},
      {"{name: web, annotations: {lb.kubesphere.io/v1alpha1: true}}",
       "Service \"default/web\": metadata.annotations[\"lb.kubesphere.io/v1alpha1\"]: must be a string, not a boolean "
       "\"true\"; put it in quotes"},
  }));
  CHECK(OnlyProblem("apiVersion: v1\nkind: Service\nmetadata: " + metadata + "\n") == "f.yaml:3: " + problem);
}

TEST_CASE("a Node is ready unless its conditions say otherwise", "[unit]") {
  const auto node = [](const std::string& rest) {
    return Only<model::Node>("apiVersion: v1\nkind: Node\nmetadata: {name: node1, labels: {rack: r1}}\n" + rest);
  };
  model::Node plain;
  plain.name = "node1";
  plain.labels = {{"rack", "r1"}};
  plain.explicit_object = true;
  CHECK(node("") == plain);
  CHECK(node("spec: {unschedulable: true}\n").unschedulable);
  CHECK(node("status: {conditions: [{type: Ready, status: \"True\"}, {type: DiskPressure, status: \"True\"}]}\n") ==
        plain);
  CHECK_FALSE(node("status: {conditions: [{type: Ready, status: \"False\"}]}\n").ready);
  CHECK_FALSE(node("status: {conditions: [{type: Ready, status: Unknown}]}\n").ready);
  CHECK(node("status: {conditions: [{type: NetworkUnavailable, status: \"True\"}]}\n").network_unavailable);
  CHECK_FALSE(node("status: {conditions: [{type: NetworkUnavailable, status: \"False\"}]}\n").network_unavailable);
  CHECK(
      OnlyProblem("apiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus: {conditions: [{type: Ready, status: "
                  "true}]}\n") ==
      "f.yaml:4: Node \"n\": status.conditions[0].status: must be a string, not a boolean \"true\"; put it in quotes");
}

TEST_CASE("a Namespace bears its name as a label", "[unit]") {
  const auto ns =
      Only<model::Namespace>("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n");
  CHECK(ns.labels == model::Labels{{"team", "a"}, {"kubernetes.io/metadata.name", "shop"}});
}

TEST_CASE("an EndpointSlice tells its Service and the state of each endpoint", "[unit]") {
  const std::string head = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n";
  const auto slice = Only<EndpointSlice>(head + R"(metadata:
  name: web-1
  namespace: shop
  labels: {kubernetes.io/service-name: web}
addressType: IPv6
endpoints:
  - {nodeName: node1, addresses: [fd00::1]}
  - {nodeName: node2, conditions: {ready: false}}
  - {nodeName: node3, conditions: {ready: false, serving: true, terminating: true}}
)");
  EndpointSlice wanted;
  wanted.id = {"shop", "web-1"};
  wanted.service = {"shop", "web"};
  wanted.family = Family::kIpv6;
  wanted.endpoints = {{"node1", true, true, false}, {"node2", false, false, false}, {"node3", false, true, true}};
  CHECK(slice == wanted);

  CHECK(OnlyProblem(head + "metadata: {name: s, labels: {kubernetes.io/service-name: w}}\n") ==
        "f.yaml:1: EndpointSlice \"default/s\": addressType: is missing, it is IPv4 or IPv6");
  CHECK(OnlyProblem(head + "metadata: {name: s}\naddressType: IPv4\nendpoints: [{conditions: {ready: 1}}]\n") ==
        "f.yaml:5: EndpointSlice \"default/s\": endpoints[0].conditions.ready: must be true or false, not a number "
        "\"1\"");
  // Of host names, or of nobody: no object, no problem.
  for (const char* rest : {"metadata: {name: s, labels: {kubernetes.io/service-name: w}}\naddressType: FQDN\n",
                           "metadata: {name: s}\naddressType: IPv4\n"}) {
    const ParsedFile parsed = ParseManifest("f.yaml", head + rest);
    CHECK(parsed.objects.empty());
    CHECK(parsed.problems.empty());
  }
}

}  // namespace berth::files

# The SPF record of a name whose own servers one mechanism means, by the routes that mail takes. The server computes the
# same (services/records/senders.rs); tests/it/host/records.rs compares the two. Needs nothing but Nix itself.
routes: own:
let
  words =
    text: builtins.filter (word: builtins.isString word && word != "") (builtins.split " +" text);
  named = route: (route.spf or null) != null;
  mechanisms = builtins.concatMap (route: words route.spf) (builtins.filter named routes);
  # Each once, where it comes first.
  once = builtins.foldl' (
    known: mechanism: if builtins.elem mechanism known then known else known ++ [ mechanism ]
  ) [ ] mechanisms;
  forAll = builtins.filter (route: builtins.elem "*" (route.domains or [ ])) routes;
  first = builtins.head forAll;
  # Mail leaves by a host that cannot be named: `-all` would have it refused.
  unnamed = forAll != [ ] && (first.host or null) != null && !named first;
in
builtins.concatStringsSep " " (
  [
    "v=spf1"
    own
  ]
  ++ once
  ++ [ (if unnamed then "?all" else "-all") ]
)

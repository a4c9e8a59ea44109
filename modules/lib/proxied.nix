# How nginx passes requests on to the server.
{
  # `settings` are further lines of the location. What a client writes into these fields itself must not arrive, for whoever is
  # named there is counted and banned. The recommended settings of NixOS would add them a second time, and a request with two Host
  # fields is refused. `$host` is the name by which the site was chosen, without a port, for the sites are on 443; `$http_host` may
  # be another one.
  proxied = to: settings: {
    proxyPass = to;
    recommendedProxySettings = false;
    extraConfig = ''
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_http_version 1.1;
    ''
    + settings;
  };
}

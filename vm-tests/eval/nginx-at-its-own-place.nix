# A site that says where it listens is in nobody's way.
{
  module.services = {
    nginx = {
      enable = true;
      virtualHosts."www.example.test".listen = [
        {
          addr = "127.0.0.1";
          port = 8000;
        }
      ];
    };
    postrider = {
      domains."example.test".users.ann = { };
      listeners.http.enable = true;
    };
  };
  holds = _: [ ];
}

# A server without a domain has nothing to do.
{
  module.services.postrider.domains = { };
  message = "domains is empty";
}

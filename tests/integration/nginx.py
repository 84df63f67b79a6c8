"""nginx in front of an OpenSearch without plugins: the TLS, the passwords and the limits that customers put there."""

import os

from tests.integration.opensearch.server import free_port
from tests.integration.web_servers import Served, nginx_command

USER, PASSWORD = "shipper", "pässword with spaces"

_CONFIGURATION = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
  server {{
    listen 127.0.0.1:{password_port} ssl; client_max_body_size 20m;
    auth_basic "search"; auth_basic_user_file {folder}/users;
    location / {{ proxy_pass {upstream}; proxy_set_header Authorization ""; }}
    location /under/ {{ proxy_pass {upstream}/; proxy_set_header Authorization ""; }}
  }}
  server {{
    listen 127.0.0.1:{certificate_port} ssl; client_max_body_size 20m;
    ssl_client_certificate {folder}/ca.pem; ssl_verify_client on;
    location / {{ proxy_pass {upstream}; }}
  }}
  server {{
    listen 127.0.0.1:{small_port}; client_max_body_size 30k;
    location / {{ proxy_pass {upstream}; }}
  }}
  server {{
    listen 127.0.0.1:{old_port} ssl; ssl_protocols TLSv1 TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;
    location / {{ proxy_pass {upstream}; }}
  }}
}}
"""


class Nginx(Served):
    """`password`, `certificate`, `small` and `old`: the addresses of its four servers, without a slash at their end."""

    def __init__(self, folder, upstream, authority):
        ports = {name: free_port() for name in ("password_port", "certificate_port", "small_port", "old_port")}
        for name in ("password", "certificate", "old"):
            setattr(self, name, f"https://localhost:{ports[name + '_port']}")
        self.small = f"http://127.0.0.1:{ports['small_port']}"
        super().__init__(folder, ports["password_port"])
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / "server.key")
        for number, blob in enumerate(certificate.cert_chain_pems):
            blob.write_to_path(folder / "server.pem", append=number > 0)
        authority.cert_pem.write_to_path(folder / "ca.pem")
        (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
        # As root, nginx would give its workers to an account that may not enter the tests' folders.
        user = "user root;" if os.geteuid() == 0 else ""
        text = _CONFIGURATION.format(folder=folder, upstream=upstream, user=user, **ports)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        self.start(nginx_command(folder))

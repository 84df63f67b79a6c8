version=2
rule=failed:%time:date-rfc3164% %host:word% sshd[%pid:number%]: Failed %method:word% for invalid user %user:word% from %ip:word% port %port:number% ssh2
rule=failed:%time:date-rfc3164% %host:word% sshd[%pid:number%]: Failed %method:word% for %user:word% from %ip:word% port %port:number% ssh2
rule=accepted:%time:date-rfc3164% %host:word% sshd[%pid:number%]: Accepted %method:word% for %user:word% from %ip:word% port %port:number% ssh2: %key:rest%
rule=accepted:%time:date-rfc3164% %host:word% sshd[%pid:number%]: Accepted %method:word% for %user:word% from %ip:word% port %port:number% ssh2
rule=closed:%time:date-rfc3164% %host:word% sshd[%pid:number%]: Connection closed by authenticating user %user:word% %ip:word% port %port:number% [preauth]
rule=invalid:%time:date-rfc3164% %host:word% sshd[%pid:number%]: Invalid user %user:word% from %ip:word% port %port:number%
annotate=failed:+action="ssh.login"
annotate=failed:+outcome="failure"
annotate=accepted:+action="ssh.login"
annotate=accepted:+outcome="success"
annotate=closed:+action="ssh.closed"
annotate=closed:+outcome="failure"
annotate=invalid:+action="ssh.invalid_user"
annotate=invalid:+outcome="failure"

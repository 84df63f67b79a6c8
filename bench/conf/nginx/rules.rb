version=2
rule=:%ip:word% %ident:word% %user:word% [%time:char-to{"extradata":"]"}%] "%method:word% %path:word% HTTP/%version:char-to{"extradata":"\""}%" %status:number% %bytes:number% "%referrer:char-to{"extradata":"\""}%" "%agent:char-to{"extradata":"\""}%"

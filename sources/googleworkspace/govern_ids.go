package googleworkspace

// tokenGrantID and passwordGrantID stand in until the mapping of app_grants is there.
func tokenGrantID(user, client string) string  { return user + ":" + client }
func passwordGrantID(user, code string) string { return user + ":asp:" + code }

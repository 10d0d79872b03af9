package googleworkspace

// notifies is Connector.Notifies.
const notifies = ""

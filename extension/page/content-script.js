// Loads the page's part as a module, which cannot be injected itself; resolves when it listens.
import(chrome.runtime.getURL("page/main.js")).then(() => true);

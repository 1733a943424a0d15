//! Chromium and its driver, for the tests.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::checkout::Checkout;
use crate::{process, setup};

/// Switches that keep the browser from talking to anybody but us.
const QUIET: [&str; 7] = [
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "disable-default-apps",
];

/// A browser that can be driven.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// Finds Chromium and ChromeDriver (variables CHROMIUM and CHROMEDRIVER, then PATH) or installs them if we may.
    pub(crate) fn find_or_install(checkout: &Checkout) -> Result<Self> {
        if let Some(browser) = Self::find() {
            return Ok(browser);
        }
        if setup::may_use_apt() {
            setup::apt_install(checkout, &["chromium", "chromium-driver"])?;
            if let Some(browser) = Self::find() {
                return Ok(browser);
            }
        }
        bail!(
            "Chromium or ChromeDriver is missing. On Debian: `apt-get install chromium chromium-driver`. Elsewhere install \
             Chrome or Chromium and a chromedriver of the same version, and set CHROMIUM and CHROMEDRIVER to the programs \
             if they are not in PATH. `cargo xtask test --no-browser` does without"
        );
    }

    fn find() -> Option<Self> {
        let named = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
        let chromium = named("CHROMIUM")
            .or_else(|| ["chromium", "chromium-browser", "google-chrome", "chrome"].into_iter().find_map(process::find))?;
        let driver = named("CHROMEDRIVER").or_else(|| process::find("chromedriver"))?;
        Some(Self { chromium, driver })
    }

    /// Writes the file that tells ChromeDriver which browser to start, and how.
    pub(crate) fn write_capabilities(&self, checkout: &Checkout) -> Result<PathBuf> {
        let path = checkout.target("webdriver.json");
        let options = serde_json::json!({ "goog:chromeOptions": { "binary": self.chromium, "args": QUIET } });
        fs::create_dir_all(checkout.target(""))?;
        fs::write(&path, options.to_string())?;
        Ok(path)
    }
}
